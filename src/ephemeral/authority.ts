import { createHash } from 'node:crypto'
import {
  callback,
  checkedLater,
  checkOptions,
  object,
  shownValue,
  someNamesOf,
  text,
  type OptionKind,
  type OptionKinds,
} from '../arguments.ts'
import { clientSubject, parseNames } from '../certificates/names.ts'
import { RootlingError } from '../errors.ts'
import { signCrl } from '../x509/crl.ts'
import { parseIdentifier, type Identifier } from '../x509/identifier.ts'
import { ipRangeText, parseIpRange } from '../x509/ip.ts'
import { localConstraints, permits, widen, type NameConstraints } from '../x509/name-constraints.ts'
import { checkKeyType, type KeyType } from '../x509/keys.ts'
import { encodePem } from '../x509/pem.ts'
import { leafValidity } from '../x509/profiles.ts'
import type { ClientOptions, EphemeralCertificate, ServerOptions } from './certificate.ts'
import type { ChildEnvironment } from './child-environment.ts'
import { makeHierarchy, type Hierarchy, type Issuer, type LeafUse } from './issuers.ts'
import { revocationOf, signEphemeralLeaf } from './leaf.ts'
import type { ProcessTrust } from '../runtimes/process-trust.ts'

/** What an authority can have. */
export interface EphemeralOptions {
  /**
   * Gives the root name constraints (RFC 5280 §4.2.1.10), as the roots have that `rootling install`
   * trusts: it may sign the local names, and these domains with all below them, addresses and CIDR
   * ranges. Default: it may sign any name. Nobody but this process and its children trusts the
   * root, and Bun refuses addresses below every root that constrains them.
   */
  readonly permitted?: readonly string[]
  /** The type of the keys of the root and the intermediates; default `p256`. */
  readonly keyType?: KeyType
  /**
   * The clock, for dates of certificates and CRLs. Default: the system's, also where a test has
   * replaced `Date` by a false clock after this module was loaded: TLS does not look at that one.
   */
  readonly now?: () => Date
}

/** A certificate authority in memory. It asks nothing, and writes a file only where this says so. */
export interface EphemeralAuthority {
  /** PEM of the root: `ca` of a client, or of a server that asks for client certificates. */
  readonly root: string
  /**
   * Options for the command line of Chromium, Chrome and Edge, by which they accept certificates of
   * this authority: `args` of Playwright's and Puppeteer's `launch`. Such a browser passes over
   * every fault of these certificates but a missing intermediate, so it shows no refusal.
   */
  readonly chromiumArguments: readonly string[]
  /**
   * Issues a certificate for a server. Names are hosts, wildcards, IP addresses, e-mail addresses
   * or URIs; default: localhost, 127.0.0.1 and ::1. Throws `bad-name`, `usage` (no names, an
   * unknown fault, dates in the wrong order), and `not-permitted` where the authority was made with
   * `permitted`.
   *
   * @example
   * import { createServer } from 'node:https'
   * import { ephemeralAuthority } from 'rootling/test'
   *
   * const ca = await ephemeralAuthority()
   * const server = createServer(await ca.certificate())
   * const refused = createServer(await ca.certificate('localhost', { fault: 'expired' }))
   */
  certificate(
    names?: string | readonly string[],
    options?: ServerOptions,
  ): Promise<EphemeralCertificate>
  /**
   * Issues a certificate for a client (mutual TLS). The names are e-mail addresses, hosts or URIs,
   * such as `spiffe://shop.test/cart`; a first name without a dot, such as `ada`, becomes the
   * common name alone. Throws what `certificate` throws.
   *
   * @example
   * import { once } from 'node:events'
   * import { createServer, get } from 'node:https'
   * import { ephemeralAuthority } from 'rootling/test'
   *
   * const ca = await ephemeralAuthority()
   * const options = { ...(await ca.certificate()), requestCert: true }
   * const server = createServer(options, (_, response) => response.end()).listen(8443)
   * const request = get('https://localhost:8443/', await ca.clientCertificate('ada@example.com'))
   * const [response] = await once(request, 'response')
   * console.log(response.statusCode) // 200
   * server.close()
   */
  clientCertificate(
    names: string | readonly string[],
    options?: ClientOptions,
  ): Promise<EphemeralCertificate>
  /**
   * Revokes a certificate, so that later calls of `crls` list it. Throws `usage` for one that this
   * authority did not issue.
   *
   * @example
   * import { ephemeralAuthority } from 'rootling/test'
   *
   * const ca = await ephemeralAuthority()
   * const certificate = await ca.certificate()
   * ca.revoke(certificate)
   * const lists = await ca.crls()
   */
  revoke(certificate: Pick<EphemeralCertificate, 'serialNumber'>): void
  /**
   * Signs a CRL (RFC 5280 §5) for each issuer, the root's last, and returns them as PEM. They are
   * good for seven days. Node takes the list as `crl`, and then wants one for every issuer in a
   * chain; other programs read a file of all of them, `crls.join('')`.
   *
   * @example
   * import { once } from 'node:events'
   * import { createServer, get } from 'node:https'
   * import { ephemeralAuthority } from 'rootling/test'
   *
   * const ca = await ephemeralAuthority()
   * const revoked = await ca.certificate('localhost', { fault: 'revoked' })
   * const server = createServer(revoked).listen(8443)
   * const request = get('https://localhost:8443/', { ca: ca.root, crl: await ca.crls() })
   * const [error] = await once(request, 'error')
   * console.log(error.code) // CERT_REVOKED
   * server.close()
   */
  crls(): Promise<string[]>
  /**
   * Makes this process trust the root, beside the roots that it trusted before: `fetch`,
   * `node:https`, undici and all others that use Node's TLS and give no `ca`. From Node 22.19 and
   * 24.5 on it calls `tls.setDefaultCACertificates`; in an older Node it replaces
   * `tls.createSecureContext`. Throws `unsupported` in Bun and Deno.
   *
   * @example
   * import { createServer } from 'node:https'
   * import { ephemeralAuthority } from 'rootling/test'
   *
   * const ca = await ephemeralAuthority()
   * const server = createServer(await ca.certificate(), (_, response) => response.end('hello'))
   * server.listen(8443)
   * const trust = await ca.trust()
   * const response = await fetch('https://localhost:8443/')
   * console.log(await response.text()) // hello
   * trust.dispose()
   * server.close()
   */
  trust(): Promise<ProcessTrust>
  /**
   * Returns variables that make child processes trust the root, beside the roots that they trust
   * by themselves, as `rootling run` does: Node, Deno, Bun, curl, OpenSSL, Python, Ruby, Go, git,
   * cargo. Writes the files of roots that the variables name. `env`: the environment that the child
   * would have; default: that of this process. Throws `state-unwritable`.
   *
   * @example
   * import { execFile } from 'node:child_process'
   * import { createServer } from 'node:https'
   * import { promisify } from 'node:util'
   * import { ephemeralAuthority } from 'rootling/test'
   *
   * const ca = await ephemeralAuthority()
   * const server = createServer(await ca.certificate(), (_, response) => response.end('hello'))
   * server.listen(8443)
   * await using environment = await ca.environment()
   * const env = { ...process.env, ...environment.variables }
   * const { stdout } = await promisify(execFile)('curl', ['https://localhost:8443/'], { env })
   * console.log(stdout) // hello
   * server.close()
   */
  environment(env?: Readonly<Record<string, string | undefined>>): Promise<ChildEnvironment>
}

const authorityOptions: OptionKinds<EphemeralOptions> = {
  permitted: {
    allows: (value) => Array.isArray(value) && value.every((one) => typeof one === 'string'),
    what: 'an array of strings',
    example: "['dev.example.com', '10.1.0.0/16']",
  },
  keyType: checkedLater("'p256'"),
  now: callback('() => new Date()'),
}

// Not by `instanceof`: the Date of a test runner's sandbox is another one.
const date: OptionKind = {
  allows: (value) => Object.prototype.toString.call(value) === '[object Date]',
  what: 'a Date',
  example: "new Date('2030-01-31')",
}

const leafOptions: OptionKinds<ServerOptions> = {
  keyType: checkedLater("'p256'"),
  notBefore: date,
  notAfter: date,
  subject: text("'CN=shop.test,O=Shop'"),
  fault: checkedLater("'expired'"),
}

/** Kept, since false clocks of test runners replace the global one. */
const SystemDate = Date

/** The names of a certificate for which none were given. */
const localNames = ['localhost', '127.0.0.1', '::1']

/** How many days a CRL is good for. */
const crlDays = 7

/**
 * Makes a certificate authority for tests: a root and an intermediate, in memory alone. It takes a
 * few milliseconds, and a certificate about one. It prompts for nothing, reads no state directory,
 * and trusts nothing on this machine. Throws `bad-name` and `usage` for options that mean nothing.
 *
 * @example
 * import { once } from 'node:events'
 * import { createServer, get } from 'node:https'
 * import { ephemeralAuthority } from 'rootling/test'
 *
 * const ca = await ephemeralAuthority()
 * const server = createServer(await ca.certificate(), (_, response) => response.end('hello'))
 * server.listen(8443)
 * const [response] = await once(get('https://localhost:8443/', { ca: ca.root }), 'response')
 * console.log(response.statusCode) // 200
 * server.close()
 */
export async function ephemeralAuthority(
  options: EphemeralOptions = {},
): Promise<EphemeralAuthority> {
  checkOptions('ephemeralAuthority', options, authorityOptions)
  const { permitted, keyType = 'p256', now = () => new SystemDate() } = options
  checkKeyType(keyType)
  const constraints = permitted === undefined ? null : constraintsOf(permitted)
  const hierarchy = await makeHierarchy({ constraints, keyType, now: now() })
  const { root } = hierarchy
  const servers = await hierarchy.issuer('servers')
  const issued = new Map<string, Issuer>()
  let crlNumber = 0
  let stranger: Promise<Hierarchy> | undefined
  const other = (): Promise<Hierarchy> =>
    (stranger ??= makeHierarchy({ constraints, keyType, now: now() }))

  async function issue(
    use: LeafUse,
    names: readonly string[],
    options: ServerOptions,
  ): Promise<EphemeralCertificate> {
    checkOptions(use === 'servers' ? 'certificate' : 'clientCertificate', options, leafOptions)
    const purpose = use === 'clients' ? 'client' : 'server'
    const { names: others, subject } = clientSubject({ names, purpose, subject: options.subject })
    const identifiers = others.length === 0 ? [] : parseNames(others)
    refuseOutside(constraints, identifiers)
    const request = {
      use,
      identifiers,
      options: subject === undefined ? options : { ...options, subject },
    }
    const { certificate, issuer } = await signEphemeralLeaf(request, hierarchy, other, now())
    if (issuer !== null) issued.set(certificate.serialNumber, issuer)
    return {
      ...certificate,
      async files() {
        const { writeTemporary } = await import('./temporary-files.ts')
        const { cert, key, ca } = certificate
        const written = { 'cert.pem': cert, 'key.pem': key, 'ca.pem': ca }
        const { pathOf, ...rest } = await writeTemporary(written)
        const paths = { certPath: pathOf('cert.pem'), keyPath: pathOf('key.pem') }
        return { ...rest, ...paths, caPath: pathOf('ca.pem') }
      },
    }
  }

  return {
    root: root.pem,
    chromiumArguments: [`--ignore-certificate-errors-spki-list=${spkiHash(servers)}`],
    certificate: async (names = localNames, options = {}) =>
      issue('servers', someNamesOf(names, "certificate(['localhost', '::1'])"), options),
    clientCertificate: async (names, options = {}) =>
      issue('clients', someNamesOf(names, "clientCertificate('ada@example.com')"), options),
    revoke(certificate) {
      checkObject('certificate', certificate)
      const { serialNumber } = certificate
      const issuer = issued.get(serialNumber)
      if (issuer === undefined)
        throw new RootlingError(
          'usage',
          `This authority did not issue the certificate with the serial number ${serialNumber}.`,
          { hint: 'Pass what its certificate() or clientCertificate() returned' },
        )
      const number = Buffer.from(serialNumber, 'hex')
      if (!issuer.revoked.some((one) => one.serialNumber.equals(number)))
        issuer.revoked.push(revocationOf(number, now()))
    },
    async crls() {
      crlNumber++
      const { notBefore: thisUpdate, notAfter: nextUpdate } = leafValidity(
        now(),
        crlDays,
        hierarchy.validity.notAfter,
      )
      const fields = { thisUpdate, nextUpdate, crlNumber }
      const lists = (await hierarchy.issuers()).map(({ revoked, signer }) =>
        signCrl(fields, revoked, signer),
      )
      return (await Promise.all(lists)).map((der) => encodePem('X509 CRL', der))
    },
    async trust() {
      const { trustForTests } = await import('./process-trust.ts')
      return trustForTests(root.pem)
    },
    async environment(env = process.env) {
      checkObject('env', env)
      const { environmentOfChildren } = await import('./child-environment.ts')
      return environmentOfChildren(root.pem, env)
    },
  }
}

/** Throws `usage` for a parameter that is no object. */
function checkObject(name: string, value: unknown): void {
  if (object('').allows(value)) return
  throw new RootlingError('usage', `${name} must be an object, not ${shownValue(value)}.`, {
    hint: name === 'env' ? 'environment(process.env)' : 'revoke(await ca.certificate())',
  })
}

/** The hash by which Chromium knows a public key: SHA-256 of its SubjectPublicKeyInfo, in base64. */
const spkiHash = ({ spki }: Issuer): string => createHash('sha256').update(spki).digest('base64')

/** Returns constraints of the local names and `permitted`. Throws `bad-name`, `usage`. */
function constraintsOf(permitted: readonly string[]): NameConstraints {
  const parsed = permitted.map((text) => {
    const range = parseIpRange(text)
    if (range !== null) return ipRangeText(range)
    const { type, value } = parseIdentifier(text)
    if (type === 'dns' && !value.startsWith('*.')) return value
    throw new RootlingError('usage', `${text} is neither a domain nor an address range.`, {
      hint: "permitted: ['dev.example.com', '10.1.0.0/16']",
    })
  })
  return widen(localConstraints, parsed)
}

/** Throws `not-permitted` for the first name that clients would refuse below the constraints. */
function refuseOutside(
  constraints: NameConstraints | null,
  identifiers: readonly Identifier[],
): void {
  const outside = identifiers.find((one) => constraints !== null && !permits(constraints, one))
  if (outside === undefined) return
  const { type, value } = outside
  const host = type === 'uri' ? new URL(value).hostname : value
  const domain = host.slice(host.lastIndexOf('@') + 1).replace(/^\*\./, '')
  throw new RootlingError(
    'not-permitted',
    `${value} is outside the names that this authority may sign; clients would refuse it.`,
    { hint: `ephemeralAuthority({ permitted: ['${domain}'] })` },
  )
}
