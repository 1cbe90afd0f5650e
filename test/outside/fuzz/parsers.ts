import {
  createHash,
  createHmac,
  generateKeyPairSync,
  randomBytes,
  sign,
  X509Certificate,
} from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemRootsPreference } from '../../../platform/firefox/enterprise-roots.ts'
import { addCertificate, removeCertificate } from '../../../platform/firefox/policies-text.ts'
import { readJks } from '../../../platform/java/jks.ts'
import { parseKeystore } from '../../../platform/java/keystore.ts'
import { parsePkcs12Listing } from '../../../platform/nss/pkcs12.ts'
import { parseProfiles } from '../../../platform/nss/profiles-ini.ts'
import { parseListing } from '../../../platform/nss/database.ts'
import { certificatesIn as certificatesInOutput } from '../../../platform/pem.ts'
import { parsePasswd } from '../../../platform/person.ts'
import { readPkcs12Identity } from '../../../platform/pkcs12-identity.ts'
import { ownHashes } from '../../../platform/windows/root.ts'
import { checkBinding } from '../../../src/acme/external-account.ts'
import { readIdentifiers } from '../../../src/acme/identifiers.ts'
import { parseNamePattern } from '../../../src/acme/name-patterns.ts'
import { checkUrl, keyReference, nonceOf, parseJws, verifyJws } from '../../../src/acme/jws.ts'
import { readJwk } from '../../../src/acme/keys.ts'
import * as payloads from '../../../src/acme/payload.ts'
import { openStore } from '../../../src/acme/store/store.ts'
import { createUrls } from '../../../src/acme/urls.ts'
import { readRoot } from '../../../src/authority/adopt.ts'
import { readChecked } from '../../../src/certificates/checked.ts'
import { parseTarget } from '../../../src/client/target.ts'
import { methodOf, parseRequest, stringMember } from '../../../src/daemon/control-protocol.ts'
import { readFailures } from '../../../src/daemon/renewal-failures.ts'
import { readSettings } from '../../../src/daemon/settings.ts'
import {
  hasChromiumEntry,
  hasFirefoxEntry,
  parseProcessStat,
} from '../../../src/doctor/checks/browsers.ts'
import { settingsFiles } from '../../../src/doctor/settings.ts'
import { RootlingError, type ErrorCode } from '../../../src/errors.ts'
import { readRunFile } from '../../../src/home/run-file.ts'
import { addEntries, parseHosts, removeEntries, renderHosts } from '../../../src/hosts/block.ts'
import { mappingsOf } from '../../../src/hosts/hosts-file.ts'
import { checkText } from '../../../src/project/check.ts'
import { projectShape } from '../../../src/project/shape.ts'
import { readRoutes } from '../../../src/proxy/kept-routes.ts'
import { parseUpstream } from '../../../src/proxy/routes.ts'
import { namesRoots } from '../../../src/runtimes/variables.ts'
import { hostOf } from '../../../src/server/host-check.ts'
import type { Request } from '../../../src/server/http.ts'
import { parsePkcs11Uri } from '../../../src/replica/pkcs11-uri.ts'
import { parseProxyHeader } from '../../../src/server/proxy-protocol.ts'
import { certificatesOf } from '../../../src/storage/files/certificates.ts'
import {
  readCurrentInventory,
  readInventory,
  readNewestFirst,
} from '../../../src/storage/files/record.ts'
import { readScope, sealScope } from '../../../src/storage/files/scopes.ts'
import { refuseNewer } from '../../../src/storage/files/version.ts'
import * as asn1 from '../../../src/x509/asn1-reader.ts'
import {
  nameConstraintsOf,
  readCertificateParts,
  subjectKeyIdentifierOf,
} from '../../../src/x509/certificate-reader.ts'
import { inspectCrl } from '../../../src/x509/crl-reader.ts'
import { kindOfDer } from '../../../src/x509/der-kind.ts'
import { parseIdentifier } from '../../../src/x509/identifier.ts'
import { certificatesIn, inspectCertificate } from '../../../src/x509/inspect.ts'
import { parseIpRange } from '../../../src/x509/ip.ts'
import { parseOcspRequest } from '../../../src/x509/ocsp.ts'
import { inspectOcspResponse } from '../../../src/x509/ocsp-reader.ts'
import { altNameParts } from '../../../src/x509/parsed-certificate.ts'
import { refuseCostlyPkcs12 } from '../../../src/x509/pkcs12-cost.ts'
import { pemBlocks } from '../../../src/x509/pem.ts'
import { readPkcs12 } from '../../../src/x509/pkcs12-reader.ts'
import { readPrivateKey } from '../../../src/x509/private-key.ts'
import { readPublicKey } from '../../../src/x509/public-key.ts'
import { inspectRequest } from '../../../src/x509/request-reader.ts'
import { readRequest } from '../../../src/x509/request.ts'
import { parseSubject } from '../../../src/x509/subject.ts'
import type { Shape } from './inputs.ts'
import { password, type Samples } from './samples.ts'

/** A parser of foreign bytes. Whatever it is given, it gives a value or throws one of `codes`. */
export interface ForeignParser {
  readonly name: string
  readonly shape: Shape
  /** Each is read without an error before it is broken. */
  readonly samples: readonly Buffer[]
  /** `problem`: an AcmeProblem whose status is the client's mistake. None: it never throws. */
  readonly codes: readonly (ErrorCode | 'problem')[]
  readonly read: (input: Buffer) => unknown
  /** How many times slower than most: the short form gives it as many times fewer inputs. */
  readonly slow?: number
  /** Octets that Node itself loses with each input that is read; such a parser comes last. */
  readonly lost?: number
}

const what = 'The file'
const now = new Date()

/**
 * Every parser of foreign bytes in src/ and platform/. Not here, because others read: TLS, HTTP
 * and DNS (Node), Firefox's databases (certutil), Windows' store (PowerShell prints PEM). Neither
 * installs.ini nor a configuration file of a project is read by anything here. The control socket
 * itself, with its limit on lines, has test/daemon/control-fuzz.tools.test.ts.
 */
export function foreignParsers(samples: Samples, state: string): ForeignParser[] {
  const all = [...x509(samples), ...tools(samples), ...acme(), ...typed(), ...stateFiles(state)]
  return all.toSorted((a, b) => (a.lost ?? 0) - (b.lost ?? 0))
}

/** A directory for the parsers that read files. */
export function temporaryFiles(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'rootling-fuzz-state-'))
  mkdirSync(join(path, 'scopes', 'local'), { recursive: true })
  for (const file of ['root.pem', 'intermediate.pem'])
    writeFileSync(join(path, 'scopes', 'local', file), '')
  mkdirSync(join(path, 'acme'))
  mkdirSync(join(path, 'kept'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

function visit(value: asn1.DerValue): void {
  const readers = [asn1.expectBits, asn1.expectBoolean, asn1.expectInteger, asn1.expectNamedBits]
  const more = [asn1.expectOctets, asn1.expectOid, asn1.expectSequence, asn1.expectText]
  for (const reader of [...readers, ...more]) {
    try {
      reader(value, what)
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'bad-der')) throw error
    }
  }
  value.children.forEach(visit)
}

function x509(samples: Samples): ForeignParser[] {
  const certificateFiles = [...samples.certificate, ...samples.certificatePem]
  const roots = samples.certificate.filter((_, i) => i % 2 === 1)
  return [
    {
      name: 'DER',
      shape: 'der',
      samples: samples.certificate,
      codes: ['bad-der'],
      read: (input) => visit(asn1.readDer(input, what)),
    },
    {
      name: 'PEM',
      shape: 'text',
      samples: samples.certificatePem,
      codes: [],
      read: (input) => pemBlocks(input.toString()),
    },
    {
      name: 'certification request',
      shape: 'der',
      samples: samples.request,
      codes: ['bad-der', 'bad-key', 'bad-name', 'usage'],
      read: readRequest,
    },
    {
      name: 'certificate to show',
      shape: 'der',
      samples: certificateFiles,
      codes: ['bad-der', 'bad-certificate'],
      read: (input) => certificatesIn(input, what).map(inspectCertificate),
    },
    {
      name: 'kind of a file to show',
      shape: 'der',
      samples: [...samples.certificate, ...samples.request, ...samples.pkcs12],
      codes: [],
      read: kindOfDer,
    },
    {
      name: 'request to show',
      shape: 'der',
      // Every other one is PEM.
      samples: samples.request.filter((_, i) => i % 2 === 1),
      codes: ['bad-der'],
      read: inspectRequest,
    },
    {
      name: 'CRL to show',
      shape: 'der',
      samples: samples.crl,
      codes: ['bad-der'],
      read: inspectCrl,
    },
    {
      name: 'OCSP response to show',
      shape: 'der',
      samples: samples.ocspResponse,
      codes: ['bad-der'],
      read: inspectOcspResponse,
    },
    {
      name: 'PKCS #12 file to show',
      shape: 'der',
      samples: samples.pkcs12,
      codes: ['bad-der', 'bad-key'],
      read: (input) => readPkcs12(input, password, what),
      slow: 10,
    },
    {
      name: 'cost of a PKCS #12 file',
      shape: 'der',
      samples: samples.certificate,
      codes: ['bad-key'],
      read: (input) => refuseCostlyPkcs12(input, what),
    },
    {
      name: 'parts of a certificate',
      shape: 'der',
      samples: samples.certificate,
      codes: ['bad-der'],
      read(input) {
        const parts = readCertificateParts(input)
        return [nameConstraintsOf(parts), subjectKeyIdentifierOf(parts)]
      },
    },
    {
      name: 'names that a server shows',
      shape: 'der',
      samples: samples.certificate,
      codes: [],
      read: (input) => presentedNames(input),
    },
    {
      name: 'root to adopt',
      shape: 'der',
      samples: roots,
      codes: ['bad-certificate'],
      read: (input) => readRoot(input, 'root.pem', now),
    },
    {
      name: 'private key',
      shape: 'der',
      samples: samples.key,
      codes: ['bad-key', 'bad-der', 'usage'],
      read: (input) => readPrivateKey(input.toString()),
    },
    {
      name: 'encrypted private key',
      shape: 'der',
      samples: samples.encryptedKey,
      codes: ['bad-key', 'bad-der', 'usage'],
      read: (input) => readPrivateKey(input.toString(), password),
    },
    {
      name: 'public key',
      shape: 'der',
      samples: samples.publicKey,
      codes: ['bad-key', 'bad-der'],
      read: (input) => readPublicKey(input, what),
    },
    {
      name: 'OCSP request',
      shape: 'der',
      samples: samples.ocspRequest,
      codes: ['bad-der'],
      read: parseOcspRequest,
    },
  ]
}

/** Node reads the certificate in a handshake; what it refuses never gets here. */
function presentedNames(input: Buffer): unknown {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(input)
  } catch {
    return null
  }
  return altNameParts(certificate)
}

/** The seal of a keystore made right, so that the reader looks further than it. */
function sealed(input: Buffer): Buffer {
  const body = input.subarray(0, Math.max(0, input.length - 20))
  const secret = Buffer.from(password, 'utf16le').swap16()
  const seal = createHash('sha1').update(secret).update('Mighty Aphrodite').update(body).digest()
  return Buffer.concat([body, seal])
}

const hostsEntry = { name: 'shop.test', address: '127.0.0.1' }
const hostsOwner = { user: 'ada', project: '/home/ada/shop' }

/** Adds a line to a hosts file and takes it out again, which must leave the text as it was. */
function changeHosts(text: string): void {
  mappingsOf(text, ['localhost', 'shop.test'])
  const before = parseHosts(text)
  const isThere = text.includes('ada:/home/ada/shop')
  const added = renderHosts(addEntries(before, [hostsEntry], hostsOwner))
  const after = renderHosts(removeEntries(parseHosts(added), [hostsEntry], () => true))
  if (before.lines === null && !isThere && after !== text) throw new Error('the text changed')
}

function tools(samples: Samples): ForeignParser[] {
  const policies = [
    '{"policies":{"Certificates":{"Install":["/a.crt","/b.crt"]}}}\n',
    '{\n  "policies": {}\n}',
    '{}',
  ]
  const profiles =
    '[Install4F96]\nDefault=a.b\n\n[Profile0]\nName=a\nIsRelative=1\nPath=a.b\n\n[Profile1]\nIsRelative=0\nPath=/x/y\n'
  const windows =
    '================ Certificate 0 ================\r\nIssuer: O=Rootling development CA\r\nCert Hash(sha1): ' +
    '1a'.repeat(20) +
    '\r\n'
  const projects = [
    '{"version": 1, "certificates": [{"names": ["a.test"], "cert": "a.pem", "key": "b.pem"}]}',
    '{ // a\n "version": 1, "hosts": {"a.test": "127.0.0.1",}, "proxy": {"a.test": 3000} }',
    '{"version": 1, "permit": ["b.example.com"], "env": {"file": ".env"}, "trust": []}',
  ]
  const hostsFiles = [
    '127.0.0.1\tlocalhost # a\n::1 localhost ip6-localhost\n',
    renderHosts(addEntries(parseHosts('127.0.0.1 localhost\r\n'), [hostsEntry], hostsOwner)),
  ]
  const preferences =
    'user_pref("a.b", 1);\nuser_pref("security.enterprise_roots.enabled", false);\n'
  const processStat = `4242 (Web (Content)) S 4200 ${'1 '.repeat(17)}987654 0`
  const settings = [
    '; of npm\ncafile=/a/b.pem\nstrict-ssl=false\n',
    '[http]\n\tsslCAInfo = /a.pem\n[http "https://a.test"]\n\tsslVerify = no\n',
    '--cacert /a.pem\ninsecure\ncheck_certificate = off\n[http]\ncainfo = "/a.pem"\n',
  ]
  const remembered = {
    firefox:
      'localhost^partitionKey=%28http%2Cdev%29:HSTS\t0\t20000\t1900000000000,1,0\nlocalhost\0\0\0',
    chromium: JSON.stringify({
      sts: [
        {
          host: createHash('sha256').update('\tlocalhost\0').digest('base64'),
          expiry: 1_900_000_000,
          mode: 'force-https',
        },
      ],
    }),
  }
  const row = (
    name: string,
    samples: readonly (Buffer | string)[],
    read: (text: string) => unknown,
  ): ForeignParser => ({
    name,
    shape: 'text',
    samples: samples.map((each) => Buffer.from(each)),
    codes: [],
    read: (input) => read(input.toString()),
  })
  const rows: ForeignParser[] = [
    row('certificates that a tool prints', samples.certificatePem, certificatesInOutput),
    row('rootling.json', projects, (text) =>
      checkText(text, projectShape, {
        file: '/project/rootling.json',
        directory: '/project',
        overrides: text.length % 2 === 0,
      }),
    ),
    row('certutil -L', samples.certutil, parseListing),
    row('pk12util -l', samples.pk12util, parsePkcs12Listing),
    row('keytool -list -rfc', samples.keytool, parseKeystore),
    row('certutil of Windows', [windows], ownHashes),
    row('profiles.ini', [profiles], (text) => parseProfiles(text, '/home/a')),
    row('passwd', ['root:x:0:0:root:/root:/bin/sh\na:x:1000:1000::/home/a:/bin/sh\n'], (text) =>
      parsePasswd(text, '1000'),
    ),
    row('prefs.js', [preferences], systemRootsPreference),
    row('HSTS of Firefox', [remembered.firefox], (text) => hasFirefoxEntry(text, 'localhost', now)),
    {
      ...row('HSTS of Chromium', [remembered.chromium], (text) =>
        hasChromiumEntry(text, 'localhost', now),
      ),
      shape: 'json',
    },
    row('stat of a process', [processStat], parseProcessStat),
    row('settings of other programs', settings, (text) =>
      settingsFiles.map(({ read }) => read(text)),
    ),
    row('configuration of git', settings, namesRoots),
    {
      ...row('server of a route', ['3000', 'h2c://[::1]:50051', 'https://a.test:8443/'], (text) =>
        parseUpstream(text),
      ),
      codes: ['usage'],
    },
    { ...row('hosts file', hostsFiles, changeHosts), codes: ['hosts-failed'] },
    {
      ...row('policies.json, added to', policies, (text) => addCertificate(text, '/c.crt', 'f')),
      shape: 'json',
      codes: ['store-failed'],
    },
    {
      ...row('policies.json, taken from', policies, (text) =>
        removeCertificate(text, '/a.crt', 'f'),
      ),
      shape: 'json',
      codes: ['store-failed'],
    },
    {
      name: 'Java keystore',
      shape: 'der',
      samples: samples.jks,
      codes: [],
      read: (input) => readJks(sealed(input), password),
    },
    {
      name: 'PKCS #12',
      shape: 'der',
      samples: samples.pkcs12,
      codes: ['bad-key'],
      read: (input) => readPkcs12Identity(input, password, 'a.p12'),
      slow: 5,
      // createSecureContext with a `pfx`, on Node 20; a command reads one such file.
      lost: 200_000,
    },
  ]
  return rows.filter(({ samples }) => samples.length > 0)
}

const base64url = (value: unknown): string =>
  Buffer.from(JSON.stringify(value)).toString('base64url')
type SignInput = (input: Buffer) => Buffer
const jwsOf = (header: object, payload: unknown, sign: SignInput): object => {
  const signed = { protected: base64url(header), payload: base64url(payload) }
  const input = Buffer.from(`${signed.protected}.${signed.payload}`)
  return { ...signed, signature: sign(input).toString('base64url') }
}
const parsed = (input: Buffer): Record<string, unknown> | null => {
  try {
    const value: unknown = JSON.parse(input.toString())
    return payloads.isObject(value) ? value : null
  } catch {
    return null
  }
}

function acme(): ForeignParser[] {
  const url = 'https://localhost/acme/new-account'
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = publicKey.export({ format: 'jwk' })
  const es256: SignInput = (input) => {
    return sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' })
  }
  const header = { alg: 'ES256', url, nonce: 'AA' }
  const samples = [
    jwsOf({ ...header, jwk }, {}, es256),
    jwsOf({ ...header, kid: url }, { contact: ['mailto:a@b.test'] }, es256),
  ]
  const secret = randomBytes(32)
  const binding = jwsOf({ alg: 'HS256', kid: 'k', url }, jwk, (input) => {
    return createHmac('sha256', secret).update(input).digest()
  })
  const context = {
    urls: createUrls('https://localhost/acme'),
    eabCommand: '',
    now: () => new Date(0),
  }
  const eabKey = { id: 'k', key: secret.toString('base64url'), createdAt: 0 }
  const unit = { get: () => eabKey as never }
  const key = readJwk(jwk)
  const row = (
    name: string,
    samples: readonly unknown[],
    read: (input: Buffer) => unknown,
  ): ForeignParser => ({
    name,
    shape: 'json',
    samples: samples.map((each) => Buffer.from(JSON.stringify(each))),
    codes: ['problem'],
    read,
  })
  return [
    row('JWS', samples, (input) => {
      const jws = parseJws(input.toString())
      return [keyReference(jws), nonceOf(jws), checkUrl(jws, url)]
    }),
    {
      ...row('JWS, verified', samples, (input) => verifyJws(parseJws(input.toString()), key)),
      slow: 5,
    },
    row('JWK', [jwk], (input) => readJwk(parsed(input))),
    row(
      'identifiers of an order',
      [
        {
          list: [
            { type: 'dns', value: 'a.test' },
            { type: 'ip', value: '::1' },
          ],
        },
      ],
      (input) => {
        return readIdentifiers(payloads.list(parsed(input) ?? {}, 'list'))
      },
    ),
    row(
      'members of a payload',
      [{ text: 'a', flag: true, list: [1], time: '2030-01-31T12:00:00Z', octets: 'AA' }],
      (input) => {
        const payload = parsed(input) ?? {}
        const [text, flag, list] = [payloads.text, payloads.flag, payloads.list]
        return [
          text(payload, 'text'),
          flag(payload, 'flag'),
          list(payload, 'list'),
          payloads.time(payload, 'time'),
          payloads.octets(payload, 'octets'),
        ]
      },
    ),
    row('external account binding', [{ externalAccountBinding: binding }], (input) => {
      return checkBinding(context, unit, { payload: bindingOf(input), key, whose: null })
    }),
  ]
}

/** JSON of any kind in the place of the binding, too. */
const bindingOf = (input: Buffer): Record<string, unknown> => {
  const value = parsed(input) ?? {}
  return 'externalAccountBinding' in value
    ? value
    : { externalAccountBinding: { ...value, protected: 'e30', payload: '', signature: '' } }
}

function typed(): ForeignParser[] {
  const row = (
    name: string,
    samples: readonly string[],
    codes: readonly ErrorCode[],
    read: (text: string) => unknown,
  ): ForeignParser => ({
    name,
    shape: 'text',
    samples: samples.map((each) => Buffer.from(each)),
    codes,
    read: (input) => read(input.toString()),
  })
  const request = (host: string) =>
    ({ headers: { host }, rawHeaders: ['Host', host], url: '/' }) as unknown as Request
  return [
    row(
      'name',
      [
        'localhost',
        '*.a.test',
        '127.0.0.1',
        'fe80::1',
        'a@b.test',
        'spiffe://a/b',
        'xn--bcher-kva.test',
      ],
      ['bad-name'],
      parseIdentifier,
    ),
    row('subject', ['CN=alice,OU=a,O=b', String.raw`CN=a\,b,C=DE`], ['usage'], parseSubject),
    row('pattern of names', ['*.a.test', 'a.test', '10.0.0.0/8'], ['usage'], parseNamePattern),
    row('range of addresses', ['10.0.0.0/8', '::1/128', '1:2:3:4:5:6:7::/64'], [], parseIpRange),
    row(
      'URI of a PKCS #11 key',
      [
        'pkcs11:token=ca;object=a?module-path=/m.so&pin-source=file:/p',
        'pkcs11:token=a%20b;id=%01;type=private?module-path=/m.so&pin-source=file:///p',
      ],
      ['usage'],
      parsePkcs11Uri,
    ),
    row('URL', ['https://localhost:8443/a', 'https://[::1]/'], ['usage'], parseTarget),
    {
      name: 'PROXY header',
      shape: 'text',
      samples: [
        Buffer.from('PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n'),
        Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n'),
        Buffer.from('0d0a0d0a000d0a515549540a2111000cc0000207c0000201dc0401bb', 'hex'),
      ],
      codes: ['connect-failed'],
      read: parseProxyHeader,
    },
    row('Host header', ['localhost:8443', '[::1]:443'], [], (text) => hostOf(request(text))),
    row(
      'line of the control socket',
      ['{"version":1,"id":2,"method":"status"}', '{"nonce":"a","proof":"b"}'],
      [],
      (text) => {
        const asked = parseRequest(text)
        return [stringMember(text, 'proof'), asked === null ? null : methodOf(asked)]
      },
    ),
  ]
}

function stateFiles(path: string): ForeignParser[] {
  const state = { path, owner: null }
  const row = (
    file: string,
    samples: readonly (object | string)[],
    read: () => Promise<unknown>,
  ): ForeignParser => ({
    name: file,
    shape: 'json',
    samples: samples.map((each) =>
      Buffer.from(typeof each === 'string' ? each : JSON.stringify(each)),
    ),
    codes: ['corrupt-state', 'file-unreadable'],
    read(input) {
      writeFileSync(join(path, file), input, { mode: 0o600 })
      return read()
    },
    slow: 5,
  })
  const dates = { notBefore: '2026-01-01T00:00:00.000Z', notAfter: '2027-01-01T00:00:00.000Z' }
  const issued = JSON.stringify({
    event: 'issued',
    serialNumber: '4a0f',
    scope: 'local',
    identifiers: [],
    ...dates,
    keyType: 'p256',
    purpose: 'server',
    fingerprint: '00',
    certPath: '/a.pem',
    keyPath: null,
  })
  const revoked = JSON.stringify({
    event: 'revoked',
    serialNumber: '4a0f',
    revokedAt: dates.notBefore,
    reason: 'superseded',
  })
  const scope = {
    name: 'local',
    created: dates.notBefore,
    issuerName: 'AA==',
    issuerKeyIdentifier: 'aa',
    ...dates,
    rootNotAfter: dates.notAfter,
    permitted: [],
    constraints: { dns: ['test'], ip: [] },
  }
  const noFiles = { root: '', intermediate: '', intermediateKey: '' }
  const scopeJson = join(path, 'scopes/local/scope.json')
  const readLocal = () => readScope(state, 'local')
  const refused = (error: unknown): null => {
    if (error instanceof RootlingError && error.code === 'corrupt-state') return null
    throw error
  }
  /** With the digests of what it says now: behind them all else is looked at. */
  const sealedAnew = (input: Buffer): string | Buffer => {
    try {
      const { files: _files, digest: _digest, ...rest } = JSON.parse(input.toString())
      return JSON.stringify(sealScope({ scope: rest, ...noFiles }))
    } catch {
      return input
    }
  }
  const run = {
    address: '/run/a',
    token: 'ab'.repeat(32),
    pid: 1,
    since: dates.notBefore,
    revocationUrl: null,
  }
  const checked = {
    directory: '00'.repeat(8),
    stamps: 'x',
    ca: 'PEM',
    root: 'scopes/local/root.pem',
    notBefore: now.getTime() - 1_000,
    notAfter: now.getTime() + 86_400_000,
    serialNumber: '4a0f',
    fingerprint: '00',
  }
  const failure = {
    serialNumber: '4a0f',
    names: ['a.test'],
    reason: 'No.',
    failures: 1,
    nextAttempt: dates.notAfter,
  }
  const route = {
    host: '*.shop.localhost',
    path: '/api',
    to: 'http://localhost:3000',
    changeOrigin: false,
    owner: { kind: 'project', project: '/shop' },
  }
  const runs = { kind: 'run', pid: 1, started: '' }
  const order = { id: 'o', accountId: 'a', expires: 0, identifiers: [], authorizationIds: [] }
  const challenges = [{ id: 'c', type: 'http-01', token: 't' }]
  const identifier = { type: 'dns', value: 'a.test' }
  const authorization = { id: 'z', accountId: 'a', expires: 0, identifier, challenges }
  const journal = [
    ['account', { id: 'a', thumbprint: 't' }],
    ['order', order],
    ['eabKey', { id: 'k', key: 'AA' }],
    ['order', 'o', 'deleted'],
    ['authorization', authorization],
    [
      'authorizations',
      'a',
      [
        [
          'y',
          'dns',
          'a.test',
          0,
          1,
          [
            ['http-01', 't', 5],
            ['dns-01', 'u'],
          ],
        ],
      ],
    ],
    ['challenge', 'y', 0, 9, 5, 6, 0],
    ['prepared', 'ab', [['order', order]]],
    ['settled', 'ab', true],
  ]
  return [
    row('certificates.jsonl', [`${issued}\n${revoked}\n`], async () => [
      [...readNewestFirst(state, { all: true, onDamage: () => undefined })],
      await certificatesOf({ ...state }, { onDamage: () => undefined }).find('4a0f'),
      await readInventory(state),
      await readCurrentInventory(state),
    ]),
    {
      ...row('scopes/local/scope.json', [sealScope({ scope, ...noFiles })], readLocal),
      async read(input) {
        writeFileSync(scopeJson, input)
        const asIs = await readLocal().catch(refused)
        writeFileSync(scopeJson, sealedAnew(input))
        return [asIs, await readLocal()]
      },
    },
    {
      ...row('version', ['3\n', '2\n', '1\n'], () => refuseNewer(state)),
      codes: ['corrupt-state', 'file-unreadable', 'newer-state'],
    },
    row('daemon.json', [{ acmePort: 1 }, { dnsResolver: '127.0.0.1' }], () => readSettings(state)),
    row('kept/checked.json', [{ stamps: 'x', found: { x: checked } }], () =>
      readChecked(state, 'x', now),
    ),
    row('daemon-run.json', [run], () => readRunFile(state)),
    row('proxy.json', [{ routes: [route, { ...route, owner: runs }] }], () => readRoutes(state)),
    row('renewal.json', [[failure]], () => readFailures(state)),
    {
      ...row(
        'acme/journal',
        [`${journal.map((each) => JSON.stringify(each)).join('\n')}\n`],
        async () => {
          const store = await openStore(state, () => now)
          await store.close()
        },
      ),
      slow: 20,
    },
  ]
}
