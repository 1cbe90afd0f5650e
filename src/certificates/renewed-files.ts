import { createPrivateKey, X509Certificate } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { exists } from '../files/exists.ts'
import { readPrivateText, readText } from '../files/read.ts'
import { stat } from '../files/sync-fs.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import type { OutputFile } from '../storage/files/unfinished-writes.ts'
import type { CertificateRecord } from '../storage/records.ts'
import { generateKeys, keyTypes, type KeyPairDer, type KeyType } from '../x509/keys.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'
import { encodePem, privateKeyBlocks } from '../x509/pem.ts'
import { extraFile } from './file-contents.ts'
import type { Leaf } from './leaf.ts'

/** Why the files of a certificate are left as they are, for people. */
interface Unfit {
  readonly reason: string
  readonly hint: string
}

/** The certificate in the file, where it is the one on record. */
export async function readTracked(
  path: string,
  { fingerprint }: CertificateRecord,
): Promise<X509Certificate | Unfit> {
  const text = await readText(path)
  if (text === null) return { reason: `${path} is gone.`, hint: 'rootling issue makes it anew' }
  try {
    const certificate = new X509Certificate(text)
    // The new certificate is for this one's key; anybody could have copied a serial number.
    if (fingerprintOf(certificate) === fingerprint) return certificate
  } catch {
    // Not a certificate at all: the same sentence.
  }
  return { reason: `${path} was changed by something else since.`, hint: 'rootling issue --force' }
}

/** Why the key that stays does not fit any more; `null`: it fits, or it cannot be read here. */
export async function keyFault(
  certificate: X509Certificate,
  { keyPath, serialNumber }: CertificateRecord,
): Promise<Unfit | null> {
  if (keyPath === null) return null
  if (!(await exists(keyPath)))
    return { reason: `${keyPath} is gone.`, hint: `rootling renew ${serialNumber} --rekey` }
  // It may belong to a server's own user or be encrypted: then it is left as it is.
  const text = await readText(keyPath).catch(() => null)
  if (text === null || text.includes('ENCRYPTED')) return null
  try {
    if (certificate.checkPrivateKey(createPrivateKey(text))) return null
  } catch {
    // Not a key at all: the same sentence.
  }
  const reason = `${keyPath} holds another key than the certificate's.`
  return { reason, hint: 'rootling issue --force' }
}

/** A new key of the old one's type. Throws `usage` where renewal cannot write one. */
export async function newKeys(
  state: StateDirectory,
  { keyType, keyPath }: CertificateRecord,
): Promise<KeyPairDer> {
  const type = keyTypes.find((known): known is KeyType => known === keyType)
  if (type === undefined || keyPath === null)
    throw new RootlingError('usage', 'A certificate of a request keeps the key of its request.', {
      hint: 'Leave out --rekey',
    })
  if ((await readPrivateText(keyPath, state.owner))?.includes('ENCRYPTED') === true)
    throw new RootlingError('usage', 'Its key is encrypted, and its passphrase is not kept.', {
      hint: 'Leave out --rekey, or issue it anew: rootling issue --encrypt-key',
    })
  return generateKeys(type)
}

/**
 * The files of a renewed certificate, each with the owner and mode of the one it replaces. `keys`:
 * the new ones; `null`: the key stays. PKCS #12 files are left out, since their passwords are not
 * kept.
 */
export async function renewedFiles(
  state: StateDirectory,
  { certPath, keyPath, extra = [] }: CertificateRecord & { readonly certPath: string },
  leaf: Leaf,
  keys: KeyPairDer | null,
): Promise<OutputFile[]> {
  const needed = certPath === keyPath || extra.some(({ format }) => format === 'full')
  const oldKey = needed && keyPath !== null ? await keyBlockIn(state, keyPath) : ''
  const key = keys === null ? oldKey : encodePem('PRIVATE KEY', keys.pkcs8)
  const files: OutputFile[] = []
  if (keys !== null && keyPath !== null && keyPath !== certPath)
    files.push({ path: keyPath, data: key, ...(await ownerOf(keyPath, 0o600)) })
  const data = certPath === keyPath ? leaf.chain + key : leaf.chain
  files.push({ path: certPath, data, ...(await ownerOf(certPath, 0o644)) })
  for (const { format, path } of extra)
    if (format !== 'pkcs12') {
      const file = extraFile({ format, path }, leaf, key)
      files.push(await keepOwner(file, format === 'full' ? oldKey : ''))
    }
  return files
}

/** The private key's PEM in a file; an empty text where there is none. */
async function keyBlockIn(state: StateDirectory, path: string): Promise<string> {
  const [block] = privateKeyBlocks((await readPrivateText(path, state.owner)) ?? '')
  return block?.text ?? ''
}

/** A file that does not hold `secret` was not written here, and its owner gets no key. */
async function keepOwner(file: OutputFile, secret: string): Promise<OutputFile> {
  const ours = secret === '' || (await readText(file.path).catch(() => null))?.includes(secret)
  return ours === true ? { ...file, ...(await ownerOf(file.path, file.mode)) } : file
}

/** The owner and mode of an existing file; where there is none, `mode`. */
async function ownerOf(path: string, mode: number): Promise<Pick<OutputFile, 'mode' | 'owner'>> {
  const info = await stat(path).catch(() => null)
  if (info === null) return { mode }
  const { uid, gid } = info
  return { mode: info.mode & 0o777, ...(process.geteuid?.() === 0 ? { owner: { uid, gid } } : {}) }
}
