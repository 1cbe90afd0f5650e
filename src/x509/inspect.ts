import { createHash, X509Certificate, type KeyObject } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import {
  expectBoolean,
  expectExplicit,
  expectInteger,
  expectNamedBits,
  expectOid,
  expectSequence,
  expectSet,
  expectText,
  isContext,
  isUniversal,
  readDer,
  unexpected,
  type DerValue,
} from './asn1-reader.ts'
import { readCertificateParts, type CertificateParts } from './certificate-reader.ts'
import { ipText } from './ip.ts'
import { pemBlocks } from './pem.ts'

/** Anybody's certificate, understood. Texts hold no control characters. */
export interface CertificateFacts {
  readonly der: Buffer
  /** SHA-256 of the DER, hex. */
  readonly fingerprint: string
  /** Lower-case hex of whole octets. */
  readonly serialNumber: string
  /** `O=Example, CN=example.test`; empty where there is none. */
  readonly subject: string
  readonly issuer: string
  readonly commonNames: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
  readonly key: KeyFacts
  /** Such as `ecdsa-with-SHA256`, or a dotted object identifier. */
  readonly signatureAlgorithm: string
  readonly selfSigned: boolean
  /** `null`: no subjectAltName. */
  readonly names: readonly Name[] | null
  readonly ca: boolean
  /** How many authorities may stand below; `null`: any number. */
  readonly pathLength: number | null
  /** Names of RFC 5280 §4.2.1.3 and §4.2.1.12; `null`: the extension is absent. */
  readonly keyUsage: readonly string[] | null
  readonly extKeyUsage: readonly string[] | null
  readonly hasAuthorityKeyIdentifier: boolean
  readonly nameConstraints: Constraints | null
  readonly ocspUrls: readonly string[]
  readonly crlUrls: readonly string[]
  /** Critical extensions that this library does not know: dotted identifiers. */
  readonly unknownCritical: readonly string[]
}

export interface KeyFacts {
  /** `P-256`, `RSA 2048`, `Ed25519`, … */
  readonly name: string
  /** `null`: this runtime cannot read the key. */
  readonly rsaBits: number | null
}

/** A general name (RFC 5280 §4.2.1.6) for people; in constraints, addresses are ranges. */
export interface Name {
  readonly type: 'dns' | 'ip' | 'email' | 'uri' | 'directory' | 'other'
  readonly value: string
}

export interface Constraints {
  readonly permitted: readonly Name[]
  readonly excluded: readonly Name[]
}

const what = 'The certificate'
/** More in one file is a bundle of roots, and nobody reads an explanation of each. */
const mostCertificates = 64

/**
 * The certificates of a file's contents as DER, in order: PEM blocks, or one in DER. `name` begins
 * the sentence of the error. Throws `bad-certificate`.
 */
export function certificatesIn(contents: Buffer, name: string): Buffer[] {
  const blocks = pemBlocks(contents.toString('latin1'))
  const found = blocks
    .filter(({ label }) => /^(?:X509 )?CERTIFICATE$/.test(label))
    .map(({ der }) => der)
  if (found.length > mostCertificates)
    throw new RootlingError('bad-certificate', `${name} holds ${found.length} certificates.`, {
      hint: `Name a file of at most ${mostCertificates}`,
    })
  if (found.length > 0) return found
  const other = blocks[0]?.label
  if (other === undefined && contents[0] === 0x30) return [contents]
  const instead = other === undefined ? '' : `, but a ${text(other).slice(0, 40)}`
  throw new RootlingError('bad-certificate', `${name} holds no certificate${instead}.`, {
    hint: 'Name a certificate in PEM or DER form',
  })
}

/** Takes a certificate apart. Throws `bad-certificate` or `bad-der` for what is none. */
export function inspectCertificate(der: Buffer): CertificateFacts {
  const certificate = open(der)
  const [tbs, algorithm] = expectSequence(readDer(der, what), what)
  const fields = expectSequence(tbs, what)
  const first = isContext(fields[0], 0) ? 1 : 0
  const parts = readCertificateParts(der)
  const { notBefore, notAfter } = readValidity(fields[first + 3])
  const algorithmOid = expectOid(expectSequence(algorithm, what)[0], what)
  const altNames = extension(parts, '2.5.29.17')
  const basic = extension(parts, '2.5.29.19')
  const constraints = extension(parts, '2.5.29.30')
  const serial = certificate.serialNumber.toLowerCase()
  return {
    der,
    fingerprint: createHash('sha256').update(der).digest('hex'),
    serialNumber: serial.length % 2 === 0 ? serial : `0${serial}`,
    subject: nameText(fields[first + 4]),
    issuer: nameText(fields[first + 2]),
    commonNames: attributes(fields[first + 4]).flatMap(([type, value]) =>
      type === 'CN' ? [value] : [],
    ),
    notBefore,
    notAfter,
    key: keyFacts(certificate),
    signatureAlgorithm: signatureNames[algorithmOid] ?? algorithmOid,
    selfSigned:
      sameDer(fields[first + 2], fields[first + 4]) && isSignedBy(certificate, certificate),
    names: altNames === null ? null : expectSequence(altNames, what).map(readName),
    ...readBasicConstraints(basic),
    keyUsage: readKeyUsage(extension(parts, '2.5.29.15')),
    extKeyUsage: readExtKeyUsage(extension(parts, '2.5.29.37')),
    hasAuthorityKeyIdentifier: parts.extensions.has('2.5.29.35'),
    nameConstraints: constraints === null ? null : readConstraints(constraints),
    ocspUrls: readAccess(extension(parts, '1.3.6.1.5.5.7.1.1')),
    crlUrls: readPoints(extension(parts, '2.5.29.31')),
    unknownCritical: [...parts.extensions].flatMap(([oid, { critical }]) =>
      critical && !knownExtensions.has(oid) ? [oid] : [],
    ),
  }
}

function open(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der)
  } catch (cause) {
    throw new RootlingError('bad-certificate', 'The certificate is damaged, or none at all.', {
      hint: 'openssl x509 -in FILE -noout -text',
      cause,
    })
  }
}

/** Whether names and signature say so. */
export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && isSignedBy(certificate, issuer)
}

/** Without `checkIssued`, which denies that a leaf without keyCertSign can have signed itself. */
function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey)
  } catch {
    return false
  }
}

const sameDer = (a: DerValue | undefined, b: DerValue | undefined): boolean =>
  a !== undefined && b !== undefined && a.der.equals(b.der)

function extension({ extensions }: CertificateParts, oid: string): DerValue | null {
  const found = extensions.get(oid)
  return found === undefined ? null : readDer(found.value, what)
}

/** What this library or node:crypto understands: RFC 5280 §4.2. */
const knownExtensions = new Set([
  ...['14', '15', '17', '18', '19', '30', '31', '32', '35', '36', '37', '54'].map(
    (arc) => `2.5.29.${arc}`,
  ),
  '1.3.6.1.5.5.7.1.1',
])

const signatureNames: Readonly<Record<string, string>> = {
  '1.2.840.10045.4.1': 'ecdsa-with-SHA1',
  '1.2.840.10045.4.3.2': 'ecdsa-with-SHA256',
  '1.2.840.10045.4.3.3': 'ecdsa-with-SHA384',
  '1.2.840.10045.4.3.4': 'ecdsa-with-SHA512',
  '1.2.840.113549.1.1.2': 'md2WithRSAEncryption',
  '1.2.840.113549.1.1.4': 'md5WithRSAEncryption',
  '1.2.840.113549.1.1.5': 'sha1WithRSAEncryption',
  '1.2.840.113549.1.1.10': 'rsassaPss',
  '1.2.840.113549.1.1.11': 'sha256WithRSAEncryption',
  '1.2.840.113549.1.1.12': 'sha384WithRSAEncryption',
  '1.2.840.113549.1.1.13': 'sha512WithRSAEncryption',
  '1.3.101.112': 'Ed25519',
  '1.3.101.113': 'Ed448',
}

const curves: Readonly<Record<string, string>> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
}

function keyFacts(certificate: X509Certificate): KeyFacts {
  let key: KeyObject
  try {
    key = certificate.publicKey
  } catch {
    return { name: 'of an unknown kind', rsaBits: null }
  }
  const { namedCurve, modulusLength = null } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'ec':
      return { name: curves[namedCurve ?? ''] ?? namedCurve ?? 'EC', rsaBits: null }
    case 'rsa':
    case 'rsa-pss':
      return { name: `RSA ${modulusLength}`, rsaBits: modulusLength }
    case 'ed25519':
    case 'ed448':
      return { name: key.asymmetricKeyType === 'ed25519' ? 'Ed25519' : 'Ed448', rsaBits: null }
    default:
      return { name: (key.asymmetricKeyType ?? 'unknown').toUpperCase(), rsaBits: null }
  }
}

function readValidity(value: DerValue | undefined): { notBefore: Date; notAfter: Date } {
  const [notBefore, notAfter, ...more] = expectSequence(value, what).map(readTime)
  if (notBefore === undefined || notAfter === undefined || more.length > 0)
    throw unexpected(what, 'two times')
  return { notBefore, notAfter }
}

/** UTCTime's two digits mean 1950 to 2049 (RFC 5280 §4.1.2.5.1). */
function readTime({ tag, contents }: DerValue): Date {
  const digits = contents.toString('latin1')
  const full = tag === 0x17 ? `${digits < '50' ? '20' : '19'}${digits}` : digits
  const match = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full)
  const [, year, month, date, hour, minute, second] = match ?? []
  const time = new Date(`${year}-${month}-${date}T${hour}:${minute}:${second}Z`)
  if (Number.isNaN(time.getTime())) throw unexpected(what, 'a time')
  return time
}

const attributeNames: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.5': 'serialNumber',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '1.2.840.113549.1.9.1': 'emailAddress',
  '0.9.2342.19200300.100.1.25': 'DC',
}

function attributes(name: DerValue | undefined): [type: string, value: string][] {
  return expectSequence(name, what)
    .flatMap((rdn) => expectSet(rdn, what))
    .map((attribute) => {
      const [type, value] = expectSequence(attribute, what)
      const oid = expectOid(type, what)
      return [attributeNames[oid] ?? oid, attributeText(value)]
    })
}

function attributeText(value: DerValue | undefined): string {
  try {
    return text(expectText(value, what))
  } catch {
    return `#${value?.der.toString('hex') ?? ''}`
  }
}

function nameText(name: DerValue | undefined): string {
  return attributes(name)
    .map(([type, value]) => `${type}=${value}`)
    .join(', ')
}

/** What a stranger chose must not move the cursor or turn the line around. */
function text(foreign: string): string {
  return foreign.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\uFFFD')
}

function readName(value: DerValue): Name {
  const characters = text(value.contents.toString('latin1'))
  switch (value.tag) {
    case 1:
      return { type: 'email', value: characters }
    case 2:
      return { type: 'dns', value: characters }
    case 4:
      return { type: 'directory', value: nameText(value.children[0]) }
    case 6:
      return { type: 'uri', value: characters }
    case 7:
      return { type: 'ip', value: addressText(value.contents) }
    default:
      return { type: 'other', value: `[${value.tag}]` }
  }
}

/** One address, or in constraints an address and its mask. */
function addressText(octets: Buffer): string {
  if (octets.length === 4 || octets.length === 16) return ipText(octets)
  if (octets.length !== 8 && octets.length !== 32) return `#${octets.toString('hex')}`
  const half = octets.length / 2
  const mask = [...octets.subarray(half)].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  if (!/^1*0*$/.test(mask)) return `#${octets.toString('hex')}`
  const prefix = mask.indexOf('0') < 0 ? mask.length : mask.indexOf('0')
  return `${ipText(octets.subarray(0, half))}/${prefix}`
}

/** Not X509Certificate's `ca`, which looks at keyUsage too, as Firefox does not. */
function readBasicConstraints(value: DerValue | null): { ca: boolean; pathLength: number | null } {
  const members = value === null ? [] : [...expectSequence(value, what)]
  const ca = isUniversal(members[0], 1) && expectBoolean(members.shift(), what)
  const pathLength = members[0] === undefined ? null : Number(expectInteger(members[0], what))
  return { ca, pathLength }
}

const keyUsageNames = [
  'digitalSignature',
  'nonRepudiation',
  'keyEncipherment',
  'dataEncipherment',
  'keyAgreement',
  'keyCertSign',
  'cRLSign',
  'encipherOnly',
  'decipherOnly',
]

function readKeyUsage(value: DerValue | null): string[] | null {
  if (value === null) return null
  return expectNamedBits(value, what).map((bit) => keyUsageNames[bit] ?? `bit ${bit}`)
}

const purposes: Readonly<Record<string, string>> = {
  '2.5.29.37.0': 'anyExtendedKeyUsage',
  '1.3.6.1.5.5.7.3.1': 'serverAuth',
  '1.3.6.1.5.5.7.3.2': 'clientAuth',
  '1.3.6.1.5.5.7.3.3': 'codeSigning',
  '1.3.6.1.5.5.7.3.4': 'emailProtection',
  '1.3.6.1.5.5.7.3.8': 'timeStamping',
  '1.3.6.1.5.5.7.3.9': 'OCSPSigning',
}

function readExtKeyUsage(value: DerValue | null): string[] | null {
  if (value === null) return null
  return expectSequence(value, what)
    .map((oid) => expectOid(oid, what))
    .map((oid) => purposes[oid] ?? oid)
}

function readConstraints(value: DerValue): Constraints {
  const trees = expectSequence(value, what)
  const bases = (n: number): Name[] =>
    (trees.find((tree) => isContext(tree, n))?.children ?? [])
      .flatMap((tree) => expectSequence(tree, what).slice(0, 1))
      .map(readName)
  return { permitted: bases(0), excluded: bases(1) }
}

function readAccess(value: DerValue | null): string[] {
  if (value === null) return []
  return expectSequence(value, what).flatMap((description) => {
    const [method, location] = expectSequence(description, what)
    const ocsp = expectOid(method, what) === '1.3.6.1.5.5.7.48.1'
    return ocsp && isContext(location, 6) ? [readName(location).value] : []
  })
}

function readPoints(value: DerValue | null): string[] {
  if (value === null) return []
  return expectSequence(value, what)
    .flatMap((point) => expectSequence(point, what).slice(0, 1))
    .filter((name) => isContext(name, 0))
    .flatMap((name) => expectExplicit(name, 0, what).children)
    .filter((name) => isContext(name, 6))
    .map((name) => readName(name).value)
}
