import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { rootForOpenssl, type Scope } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import { readPrivateText, readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { revocationOf } from '../storage/files/record.ts'
import { parseIdentifier, type Identifier } from '../x509/identifier.ts'
import type { Purpose } from '../storage/records.ts'
import { checkKeyType, type KeyType } from '../x509/keys.ts'
import { fingerprintOf, validityOf } from '../x509/parsed-certificate.ts'
import { isDueForRenewal } from '../x509/profiles.ts'
import { readChecked, stampsOf, writeChecked } from './checked.ts'
import { keptDirectory } from './kept-directory.ts'
import { chooseScope } from './scope-choice.ts'

export interface KeptOptions {
  /** The type of the new key; default `p256`. */
  readonly keyType?: KeyType
  /** Lifetime in days, 1 to 825; default 397. */
  readonly days?: number
  /**
   * The http:// URL, below which OCSP and CRL are served, for the certificate to name; `false`: the
   * certificate names none. Default: the daemon's URL while it answers.
   */
  readonly revocationUrl?: string | false
}

/**
 * A certificate and its key. `https.createServer`, `tls.createServer` and
 * `http2.createSecureServer` take `cert` and `key` as they are; a client takes `ca`.
 */
export interface Certificate {
  /** PEM: the leaf, then the intermediate. */
  readonly cert: string
  /** PKCS #8 PEM. */
  readonly key: string
  /**
   * PEM of the root, for clients that do not use the system's trust store. If the root is hardened,
   * PEM of its two copies for OpenSSL.
   */
  readonly ca: string
  /** The absolute path of a file with the same PEM as `ca`. */
  readonly caPath: string
  /** The absolute path of a file with the same PEM as `cert`. */
  readonly certPath: string
  /** The absolute path of a file with the same PEM as `key`. */
  readonly keyPath: string
  /** When it begins, to the second. */
  readonly notBefore: Date
  /** When it ends, to the second. */
  readonly notAfter: Date
  /** Lower-case hex, 32 digits. */
  readonly serialNumber: string
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
}

/** What a kept certificate is for. */
export interface KeptRequest {
  readonly names: readonly string[]
  /** Default `server`. */
  readonly purpose?: Purpose
  /** The subject (RFC 4514), for clients alone; default: one that is made from the names. */
  readonly subject?: string
}

/**
 * Returns what `certificateFor` returns, from a given state directory, but creates no authority.
 * Throws `no-authority` where none was created.
 */
export const keptCertificate = (
  state: StateDirectory,
  names: readonly string[],
  options: KeptOptions,
  now: Date,
): Promise<Certificate> => keptFor(state, { names }, options, now)

/** Returns a kept certificate for servers or clients, as `keptCertificate` does. */
export async function keptFor(
  state: StateDirectory,
  { names, purpose = 'server', subject }: KeptRequest,
  { keyType = 'p256', days, revocationUrl }: KeptOptions,
  now: Date,
): Promise<Certificate> {
  checkKeyType(keyType)
  const asked = JSON.stringify([names, keyType, days, revocationUrl, purpose, subject])
  const checked = await readChecked(state, asked, now)
  if (checked !== null) {
    const files = await readFiles(state, pathsIn(state, checked.directory))
    if (files !== null) return { ...files, ...checked.facts }
  }
  const identifiers = names.map(parseIdentifier)
  const client = purpose === 'client' ? { subject: subject ?? null } : null
  const name = digestOf(identifiers, client, keyType, days, revocationUrl)
  const { directory, ...paths } = pathsIn(state, name)
  const stamps = stampsOf(state, name)
  const scope = await chooseScope(state, { purpose, identifiers, subject }, now)
  const readAgain = () => readKept(state, paths, scope, now)
  const kept = await readAgain()
  if (kept !== null) {
    if (stamps !== null) await writeChecked(state, asked, name, stamps, kept)
    return kept
  }
  // Loaded only here: a program that is given a kept certificate waits for none of this.
  const { issue } = await import('./issue.ts')
  const { withLock } = await import('../files/lock.ts')
  const { makePrivateDirectory } = await import('../files/private-directory.ts')
  // This is not the lock of the state directory, which `issue` takes. Of two calls at once, only
  // one issues.
  return withLock(
    state,
    async () => {
      const others = await readAgain()
      if (others !== null) return others
      await makePrivateDirectory(directory, state.owner)
      const files = { ...paths, inState: 'kept' } as const
      const request = { names, purpose, subject, keyType, days, revocationUrl, files, force: true }
      const { chain, key } = await issue(state, request, now)
      const made = { cert: chain, key: key ?? '', ...paths }
      return certificateOf(new X509Certificate(chain), made, scope)
    },
    { name: 'kept.lock' },
  )
}

/**
 * Reads the kept certificate; `null`: there is none, or it is damaged, revoked, due for renewal or
 * signed by an old issuer.
 */
async function readKept(
  state: StateDirectory,
  paths: Paths,
  scope: Scope,
  now: Date,
): Promise<Certificate | null> {
  const files = await readFiles(state, paths)
  if (files === null) return null
  try {
    const leaf = new X509Certificate(files.cert)
    const good =
      leaf.checkPrivateKey(createPrivateKey(files.key)) &&
      leaf.verify(scope.intermediate.publicKey) &&
      !isDueForRenewal(validityOf(leaf), now) &&
      (await revocationOf(state, leaf.serialNumber)) === null
    return good ? certificateOf(leaf, files, scope) : null
  } catch (error) {
    if (error instanceof RootlingError) throw error
    return null
  }
}

type Paths = Pick<Certificate, 'certPath' | 'keyPath'>
type Files = Paths & Pick<Certificate, 'cert' | 'key'>

/** Returns the path of a kept certificate's directory, and those of its files. */
function pathsIn({ path }: StateDirectory, name: string): Paths & { readonly directory: string } {
  const directory = join(path, keptDirectory, name)
  return { directory, certPath: join(directory, 'cert.pem'), keyPath: join(directory, 'key.pem') }
}

async function readFiles(
  state: StateDirectory,
  { certPath, keyPath }: Paths,
): Promise<Files | null> {
  const cert = await readText(certPath)
  const key = await readPrivateText(keyPath, state.owner)
  return cert === null || key === null ? null : { cert, key, certPath, keyPath }
}

function certificateOf(leaf: X509Certificate, files: Files, scope: Scope): Certificate {
  const root = rootForOpenssl(scope)
  return {
    ...files,
    ca: root.pem,
    caPath: root.path,
    ...validityOf(leaf),
    serialNumber: leaf.serialNumber.toLowerCase(),
    fingerprint: fingerprintOf(leaf),
  }
}

/**
 * Returns the name of a kept certificate's directory, which is the same for the same names in any
 * order.
 */
function digestOf(
  identifiers: readonly Identifier[],
  client: { readonly subject: string | null } | null,
  keyType: KeyType,
  days: number | undefined,
  revocationUrl: string | false | undefined,
): string {
  const names = identifiers.map(({ type, value }) => `${type}:${value}`).toSorted()
  // What is the default is left out, so that certificates that older versions kept are found.
  const asked = revocationUrl === undefined ? [] : [revocationUrl]
  const holder = client === null ? [] : [client]
  const text = JSON.stringify([[...new Set(names)], keyType, days ?? null, ...asked, ...holder])
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
