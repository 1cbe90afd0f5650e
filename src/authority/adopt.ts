import { X509Certificate, type KeyObject } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import type { Owner } from '../files/owner.ts'
import { readOwnCertificate, readPrivateText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { updateAllRoots } from '../storage/files/all-roots.ts'
import { exclusively } from '../storage/files/unfinished-writes.ts'
import { createScope, markAsCache, scopeNames } from '../storage/files/scopes.ts'
import type { ScopeWithKey } from '../storage/scopes.ts'
import { isScopeName } from '../storage/files/stored-values.ts'
import {
  nameConstraintsOf,
  readCertificateParts,
  subjectKeyIdentifierOf,
  type CertificateParts,
} from '../x509/certificate-reader.ts'
import { parseIpRange } from '../x509/ip.ts'
import { keyIdentifier, signatureAlgorithmOf } from '../x509/keys.ts'
import type { NameConstraints } from '../x509/name-constraints.ts'
import { fingerprintOf, purposes, purposesOf, validityOf } from '../x509/parsed-certificate.ts'
import { encodePem, isEncryptedKey, privateKeyBlocks } from '../x509/pem.ts'
import { readPrivateKey } from '../x509/private-key.ts'
import type { Created } from './create.ts'
import { openScope } from './scope.ts'
import { quotedPath } from '../shell-word.ts'

export interface AdoptRequest {
  /** PEM or DER. */
  readonly certificate: Buffer
  /** The certificate's file, as error sentences name it. */
  readonly certificateFile: string
  /** PEM: PKCS #8, SEC1 or PKCS #1. */
  readonly key: string
  readonly keyFile: string
  readonly passphrase?: string | undefined
  /** Default: `local` where there is no such scope yet, else `imported`. */
  readonly name?: string | undefined
}

/** The files of a root and its key, as `adoptRoot` takes them. */
type RootFiles = Pick<AdoptRequest, 'certificate' | 'certificateFile' | 'key' | 'keyFile'>

/**
 * Reads the two files of a root that is to be adopted. Throws `loose-key` when others can read the
 * key, when others can write to the certificate, and when another user owns one of them: such a
 * root may not be this user's. Throws `file-unreadable`, also when a file is absent.
 */
export async function readRootFiles(
  { owner }: StateDirectory,
  certificateFile: string,
  keyFile: string,
): Promise<RootFiles> {
  const certificate = await readOwnRoot(certificateFile, owner)
  const key = (await readPrivateText(keyFile, owner)) ?? absent(keyFile)
  return { certificate, certificateFile, key, keyFile }
}

/** Reads the certificate of a root as `readRootFiles` does. */
export async function readOwnRoot(path: string, owner: Owner | null): Promise<Buffer> {
  return (await readOwnCertificate(path, owner)) ?? absent(path)
}

function absent(path: string): never {
  throw new RootlingError('file-unreadable', `There is no file ${quotedPath(path)}.`, {
    hint: 'Check the path',
  })
}

/**
 * Makes a scope of an existing root and its key. The root signs leaves directly, so that what
 * trusts it goes on trusting. `created: false`: a scope with this root exists already. Throws
 * `bad-certificate`, `bad-key`, `scope-exists`, and `usage` for a name that no scope can have.
 */
export async function adoptRoot(
  state: StateDirectory,
  request: AdoptRequest,
  now: Date,
): Promise<Created> {
  const root = readRoot(request.certificate, request.certificateFile, now)
  const key = readKeyOf(root, request)
  const parts = readCertificateParts(root.raw)
  const constraints = constraintsOf(parts, request.certificateFile)
  return exclusively(state, async () => {
    const names = await scopeNames(state)
    const name = request.name ?? (names.includes('local') ? 'imported' : 'local')
    if (!isScopeName(name))
      throw new RootlingError('usage', `${name} cannot be the name of a scope.`, {
        hint: 'Use lower-case letters, digits and hyphens: --name imported',
      })
    for (const existing of names) {
      const scope = await openScope(state, existing)
      if (fingerprintOf(scope.root) === fingerprintOf(root)) return { scope, created: false }
    }
    await markAsCache(state)
    const files = scopeFilesOf(name, { root, key, parts, constraints }, now)
    if (await createScope(state, files)) {
      await updateAllRoots(state)
      return { scope: await openScope(state, name), created: true }
    }
    throw new RootlingError('scope-exists', `There is a scope named ${name} already.`, {
      hint: 'Choose another name: --name imported',
    })
  })
}

/**
 * Reads the private key of a root. Throws `bad-key`, and `usage` for an encrypted key without its
 * passphrase.
 */
function readKeyOf(
  root: X509Certificate,
  { key, keyFile, passphrase, certificateFile }: AdoptRequest,
): KeyObject {
  const { privateKey } = readPrivateKey(key, passphrase, keyFile)
  if (!root.checkPrivateKey(privateKey))
    throw new RootlingError(
      'bad-key',
      `${quotedPath(keyFile)} is not the key of ${quotedPath(certificateFile)}.`,
      {
        hint: 'Name the two files that belong together',
      },
    )
  if (signatureAlgorithmOf(privateKey) === null)
    throw new RootlingError(
      'bad-key',
      `${quotedPath(keyFile)} is of a kind that cannot sign here.`,
      {
        hint: 'RSA, P-256, P-384 and Ed25519 keys can',
      },
    )
  return privateKey
}

function constraintsOf(parts: CertificateParts, file: string): NameConstraints | null {
  const constraints = nameConstraintsOf(parts)
  if (constraints === null || canKeep(constraints)) return constraints
  throw new RootlingError(
    'bad-certificate',
    `${quotedPath(file)} has name constraints that cannot be kept here.`,
    { hint: 'To make a CA of your own beside it: rootling install' },
  )
}

interface AdoptedRoot {
  readonly root: X509Certificate
  readonly key: KeyObject
  readonly parts: CertificateParts
  readonly constraints: NameConstraints | null
}

/** Returns the files of the scope. The root is its own intermediate, and has signed no CRL. */
function scopeFilesOf(name: string, adopted: AdoptedRoot, now: Date): ScopeWithKey {
  const { root, key, parts, constraints } = adopted
  const spki = root.publicKey.export({ type: 'spki', format: 'der' })
  const { notBefore, notAfter } = validityOf(root)
  const pem = root.toString()
  return {
    scope: {
      name,
      created: now.toISOString(),
      permitted: [],
      constraints,
      issuerName: parts.subject.der.toString('base64'),
      issuerKeyIdentifier: (subjectKeyIdentifierOf(parts) ?? keyIdentifier(spki)).toString('hex'),
      notBefore: notBefore.toISOString(),
      notAfter: notAfter.toISOString(),
      rootNotAfter: notAfter.toISOString(),
    },
    root: pem,
    intermediate: pem,
    rootCrl: null,
    intermediateKey: encodePem('PRIVATE KEY', key.export({ type: 'pkcs8', format: 'der' })),
  }
}

/**
 * Whether a scope can keep these constraints: they permit something, in ranges that the root of a
 * rotation can repeat.
 */
function canKeep({ dns, ip }: NameConstraints): boolean {
  return dns.length + ip.length > 0 && ip.every((range) => parseIpRange(range) !== null)
}

/**
 * Reads a certificate, PEM or DER, that can be a trust anchor for servers: a CA that signed itself
 * and has not expired. `file` begins the error's sentence. Throws `bad-certificate`.
 */
export function readRoot(bytes: Buffer, file: string, now: Date): X509Certificate {
  const refuse = (fault: string, hint: string): RootlingError =>
    new RootlingError('bad-certificate', `${quotedPath(file)} ${fault}.`, { hint })
  let root: X509Certificate
  try {
    root = new X509Certificate(bytes)
  } catch {
    throw refuse('holds no certificate', 'Name a root certificate in PEM or DER form')
  }
  if (!root.ca)
    throw refuse(
      'is not a CA’s certificate',
      'Name the root, such as rootCA.pem, not a server’s certificate',
    )
  if (!root.checkIssued(root) || !root.verify(root.publicKey))
    throw refuse('was signed by another CA, so it is not a root', 'Name the root above it')
  const permitted = purposesOf(root)
  const forServers = [purposes.serverAuth, purposes.any].some((each) => permitted.includes(each))
  if (permitted.length > 0 && !forServers)
    throw refuse(
      'is the root of client or mail certificates, which no trust store should hold',
      'Give its file to the servers that shall accept those certificates',
    )
  if (new Date(root.validTo) <= now) throw refuse(`ended on ${root.validTo}`, 'Ask for a newer one')
  return root
}

/** Whether the key in a file needs a passphrase. */
export function isEncrypted(pem: string): boolean {
  return privateKeyBlocks(pem).some(isEncryptedKey)
}
