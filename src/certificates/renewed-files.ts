import { createPrivateKey, X509Certificate } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { exists } from '../files/exists.ts'
import { readPrivateText, readText } from '../files/read.ts'
import { stat } from '../files/sync-fs.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import type { OutputFile } from '../storage/files/unfinished-writes.ts'
import { issueInFiles } from '../storage/issue-again.ts'
import type { CertificateRecord, ExtraFile } from '../storage/records.ts'
import { generateKeys, keyTypes, type KeyPairDer, type KeyType } from '../x509/keys.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'
import { encodePem, privateKeyBlocks } from '../x509/pem.ts'
import { extraFile, modeOf, pkcs12Of } from './file-contents.ts'
import type { Leaf } from './leaf.ts'
import { isKeyLike } from './key-like.ts'
import { fileBase } from './output-files.ts'
import { openKey, type Pkcs12Passwords } from './pkcs12-passwords.ts'
import { quotedPath } from '../shell-word.ts'

/** Why the files of a certificate are left as they are, for people. */
interface Unfit {
  readonly reason: string
  readonly hint: string
}

/**
 * Reads the certificate in a file. Returns why the file is left as it is where that is not the
 * certificate on record.
 */
export async function readTracked(
  path: string,
  record: CertificateRecord,
): Promise<X509Certificate | Unfit> {
  const text = await readText(path)
  if (text === null)
    return {
      reason: `${path} is gone.`,
      hint: `To make it anew: ${issueInFiles(record)}${(await hasOtherKey(record)) ? ' --force' : ''}`,
    }
  try {
    const certificate = new X509Certificate(text)
    // Fingerprints are compared, since anybody could copy a serial number, and the new certificate
    // is for the key of this one.
    if (fingerprintOf(certificate) === record.fingerprint) return certificate
  } catch {
    // The file holds no certificate at all: the sentence below is true of that too.
  }
  return {
    reason: `${quotedPath(path)} was changed by something else since.`,
    hint: toReplace(record),
  }
}

/** Whether the key file of a certificate that is gone holds what `issue` replaces only by force. */
async function hasOtherKey(record: CertificateRecord): Promise<boolean> {
  const { certPath, keyPath } = record
  if (keyPath === null || keyPath === certPath) return false
  const text = await readText(keyPath).catch(() => '')
  return text !== null && !isKeyLike(text, record)
}

const toReplace = (record: CertificateRecord): string =>
  `To replace it: ${issueInFiles(record)} --force`

/**
 * Returns why the key, which a renewal keeps, does not fit the certificate any more; `null`: it
 * fits, or it cannot be read here.
 */
export async function keyFault(
  certificate: X509Certificate,
  record: CertificateRecord,
): Promise<Unfit | null> {
  const { keyPath, serialNumber } = record
  if (keyPath === null) return null
  if (!(await exists(keyPath)))
    return { reason: `${keyPath} is gone.`, hint: `rootling renew ${serialNumber} --rekey` }
  // The key may belong to a server's own user or be encrypted: then it is not checked.
  const text = await readText(keyPath).catch(() => null)
  if (text === null || text.includes('ENCRYPTED')) return null
  try {
    if (certificate.checkPrivateKey(createPrivateKey(text))) return null
  } catch {
    // The file holds no key at all: the sentence below is true of that too.
  }
  const reason = `${quotedPath(keyPath)} holds another key than the certificate's.`
  return { reason, hint: toReplace(record) }
}

/**
 * Makes a new key of the old one's type. Throws `usage` where a renewal cannot write one: the key
 * is that of a request, or encrypted.
 */
export async function newKeys(
  state: StateDirectory,
  record: CertificateRecord,
): Promise<KeyPairDer> {
  const { keyType, keyPath, keyMode } = record
  const type = keyTypes.find((known): known is KeyType => known === keyType)
  if (type === undefined || keyPath === null)
    throw new RootlingError('usage', 'A certificate of a request keeps the key of its request.', {
      hint: 'Leave out --rekey',
    })
  const old = await readPrivateText(keyPath, state.owner, modeOf(keyMode))
  if (old?.includes('ENCRYPTED') === true)
    throw new RootlingError('usage', 'Its key is encrypted, and its passphrase is not kept.', {
      hint: `Leave out --rekey, or issue it anew: ${issueInFiles(record)} --encrypt-key`,
    })
  return generateKeys(type)
}

/**
 * Returns the files of a renewed certificate, each with the owner and mode of the one it replaces.
 * `keys` is the new key pair; `null`: the key stays. PKCS #12 files whose passwords are not known are
 * left out.
 */
export async function renewedFiles(
  state: StateDirectory,
  { certPath, keyPath, extra = [], keyMode }: CertificateRecord & { readonly certPath: string },
  leaf: Leaf,
  keys: KeyPairDer | null,
  { passwords }: Pick<Pkcs12Passwords, 'passwords'>,
): Promise<OutputFile[]> {
  const needed = certPath === keyPath || extra.some(({ format }) => holdsKey(format))
  const mode = modeOf(keyMode)
  const oldKey = needed && keyPath !== null ? await keyBlockIn(state, keyPath, mode) : ''
  const key = keys === null ? oldKey : encodePem('PRIVATE KEY', keys.pkcs8)
  const files: OutputFile[] = []
  if (keys !== null && keyPath !== null && keyPath !== certPath)
    files.push({ path: keyPath, data: key, secret: true, ...(await ownerOf(keyPath, mode)) })
  const secret = certPath === keyPath
  const data = secret ? leaf.chain + key : leaf.chain
  files.push({ path: certPath, data, secret, ...(await ownerOf(certPath, 0o644)) })
  for (const file of extra)
    if (file.format === 'pkcs12') files.push(...(await renewedPkcs12(file, leaf, key, passwords)))
    else {
      const kept = file.format === 'full' ? oldKey : ''
      files.push(await keepOwner(extraFile(file, leaf, key, mode), kept))
    }
  return files
}

/** Returns the file, or none where its password is not known or does not open the key. */
async function renewedPkcs12(
  { path, legacy }: ExtraFile,
  leaf: Leaf,
  key: string,
  passwords: ReadonlyMap<string, string>,
): Promise<OutputFile[]> {
  const password = passwords.get(path)
  const pkcs8 = password === undefined ? null : openKey(key, password)
  if (password === undefined || pkcs8 === null) return []
  const data = await pkcs12Of(leaf, pkcs8, {
    password,
    legacy,
    friendlyName: fileBase(leaf.facts),
  })
  // That the password opened the old file says that it is Rootling's or its user's own.
  return [{ path, data, secret: true, ...(await ownerOf(path, 0o600)) }]
}

const holdsKey = (format: ExtraFile['format']): boolean => format === 'full' || format === 'pkcs12'

/** Returns the PEM of the private key in a file; an empty text where there is none. */
async function keyBlockIn(state: StateDirectory, path: string, mode: number): Promise<string> {
  const [block] = privateKeyBlocks((await readPrivateText(path, state.owner, mode)) ?? '')
  return block?.text ?? ''
}

/**
 * Gives a file the owner and mode of the one it replaces, if that one holds `secret` (or `secret`
 * is empty). Otherwise it was not written by Rootling, and its owner must not get the key.
 */
async function keepOwner(file: OutputFile, secret: string): Promise<OutputFile> {
  const ours = secret === '' || (await readText(file.path).catch(() => null))?.includes(secret)
  return ours === true ? { ...file, ...(await ownerOf(file.path, file.mode)) } : file
}

/**
 * Returns the owner and mode of an existing file; where there is none, `mode`. Only root can give a
 * file to another user, and other users only to a group of theirs.
 */
async function ownerOf(path: string, mode: number): Promise<Pick<OutputFile, 'mode' | 'owner'>> {
  const info = await stat(path).catch(() => null)
  if (info === null) return { mode }
  const { uid, gid } = info
  const me = process.geteuid?.()
  const mayGive = me === 0 || (me === uid && process.getgroups?.().includes(gid) === true)
  return { mode: info.mode & 0o777, ...(mayGive ? { owner: { uid, gid } } : {}) }
}
