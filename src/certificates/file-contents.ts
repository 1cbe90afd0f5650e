import { RootlingError } from '../errors.ts'
import type { Owner } from '../files/owner.ts'
import type { OutputFile } from '../storage/files/unfinished-writes.ts'
import type { ExtraFile, KeyMode } from '../storage/records.ts'
import type { KeyPairDer } from '../x509/keys.ts'
import { encodePem, pemBlocks } from '../x509/pem.ts'
import type { Pkcs12Fields } from '../x509/pkcs12.ts'
import type { Leaf } from './leaf.ts'
import { ownPasswordFile, type ResolvedPaths } from './output-files.ts'

export interface KeyProtection {
  /** Encrypts the key in its file, and in the file of chain and key. */
  readonly keyPassphrase?: string | undefined
  readonly pkcs12?: { readonly password: string; readonly legacy: boolean } | undefined
  /** The mode of the files that hold the key; default 0600. */
  readonly keyMode?: KeyMode | undefined
  /** Who owns the files that hold the key; default: the state directory's owner. */
  readonly keyOwner?: Owner | undefined
}

export const modeOf = (keyMode: KeyMode = '0600'): number => Number.parseInt(keyMode, 8)

/**
 * Returns the files of a new certificate, the key's first: a new key without its certificate is
 * harmless. Where certificate and key have the same path, one file holds both. Throws `usage` for a
 * PKCS #12 file without a key.
 */
export async function outputFiles(
  { certPath, keyPath, extra }: ResolvedPaths,
  leaf: Leaf,
  keys: KeyPairDer | null,
  protection: KeyProtection,
  friendlyName: string,
): Promise<OutputFile[]> {
  const key = keys === null ? '' : await keyFileText(keys, protection.keyPassphrase)
  const mode = modeOf(protection.keyMode)
  const { keyOwner: owner } = protection
  const given = owner === undefined ? {} : { owner }
  const files: OutputFile[] = []
  if (certPath === keyPath)
    files.push({ path: certPath, mode, data: leaf.chain + key, secret: true, ...given })
  else {
    if (keyPath !== null) files.push({ path: keyPath, mode, data: key, secret: true, ...given })
    files.push({ path: certPath, mode: 0o644, data: leaf.chain })
  }
  for (const file of extra) {
    if (file.format !== 'pkcs12') {
      const made = extraFile(file, leaf, key, mode)
      files.push(made.secret === true ? { ...made, ...given } : made)
      continue
    }
    if (keys === null || protection.pkcs12 === undefined)
      throw new RootlingError('usage', 'A PKCS #12 file holds a key, and the key is not here.', {
        hint: 'Leave out --pkcs12 with --csr',
      })
    const { password, legacy } = protection.pkcs12
    const data = await pkcs12Of(leaf, keys.pkcs8, { password, legacy, friendlyName })
    const kept = ownPasswordFile(file)
    if (kept !== null) files.push({ path: kept, mode: 0o600, data: `${password}\n`, secret: true })
    files.push({ path: file.path, mode, data, secret: true, ...given })
  }
  return files
}

/** Returns a further file of a certificate, in a format that needs no password. */
export function extraFile(
  { format, path }: ExtraFile,
  leaf: Pick<Leaf, 'chain' | 'issuers' | 'der'>,
  key: string,
  keyMode: number,
): OutputFile {
  switch (format) {
    case 'chain':
      return { path, mode: 0o644, data: leaf.issuers }
    case 'der':
      return { path, mode: 0o644, data: leaf.der }
    case 'full':
      return { path, mode: keyMode, data: leaf.chain + key, secret: true }
    case 'pkcs12':
      throw new TypeError('a PKCS #12 file needs its password')
  }
}

async function keyFileText({ pkcs8 }: KeyPairDer, passphrase: string | undefined): Promise<string> {
  if (passphrase === undefined) return encodePem('PRIVATE KEY', pkcs8)
  const { encryptPkcs8 } = await import('../x509/encrypted-key.ts')
  return encryptPkcs8(pkcs8, passphrase)
}

/** Returns a PKCS #12 file of a certificate with its issuers and its key. */
export async function pkcs12Of(
  { der, issuers }: Pick<Leaf, 'der' | 'issuers'>,
  pkcs8: Buffer,
  protection: Pick<Pkcs12Fields, 'password' | 'legacy' | 'friendlyName'>,
): Promise<Buffer> {
  const { makePkcs12 } = await import('../x509/pkcs12.ts')
  const chain = [der, ...pemBlocks(issuers).map((block) => block.der)]
  return makePkcs12({ chain, pkcs8, ...protection })
}
