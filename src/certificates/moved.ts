import { X509Certificate } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { RootlingError } from '../errors.ts'
import { existsSync } from '../files/exists.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { toMove } from '../shell-commands.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import { readInventoryOf } from '../storage/files/record.ts'
import { issueInFiles } from '../storage/issue-again.ts'
import type { CertificateRecord } from '../storage/records.ts'
import { certificatesIn } from '../x509/inspect.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'

/** In octets. */
const largestFile = 1024 * 1024

/**
 * Returns the record of the certificate that a file holds, the first in it; `null`: there is no such
 * file, or it holds none of these certificates.
 */
export function recordOfFile(
  certificates: readonly CertificateRecord[],
  path: string,
): CertificateRecord | null {
  const held = fingerprintIn(path)
  return certificates.find(({ fingerprint }) => fingerprint === held) ?? null
}

/** Returns the fingerprint of the first certificate in a file; `null`: there is none. */
export function fingerprintIn(path: string): string | null {
  try {
    const info = statSync(path, { throwIfNoEntry: false })
    if (info?.isFile() !== true || info.size > largestFile) return null
    const [der] = certificatesIn(readFileSync(path), path)
    return der === undefined ? null : fingerprintOf(new X509Certificate(der))
  } catch {
    // A word that is no file of a certificate may still be a name.
    return null
  }
}

/**
 * Throws `usage` where a file holds a certificate that was issued to another file: a renewal would
 * write there, and leave this file as it is.
 */
export async function refuseMoved(state: StateDirectory, path: string): Promise<void> {
  const held = fingerprintIn(path)
  if (held === null) return
  const { certificates } = await readInventoryOf(state, [held], { onDamage: () => undefined })
  const record = recordOfFile(certificates, path)
  if (record === null) return
  const { certPath } = record
  const here = { certPath: path, keyPath: keyBeside(record, path) }
  const issueHere = issueInFiles(record, here)
  if (certPath === null)
    throw new RootlingError(
      'usage',
      `The certificate in ${quotedPath(path)} was not issued to a file.`,
      {
        hint: `To have it renewed here, issue it here: ${issueHere}`,
      },
    )
  if (certPath === path)
    throw new RootlingError('usage', `The certificate in ${quotedPath(path)} was forgotten.`, {
      hint: `To issue it again: ${issueHere}`,
    })
  if (existsSync(certPath))
    throw new RootlingError(
      'usage',
      `${quotedPath(path)} is a copy of ${quotedPath(certPath)}, where renewals write.`,
      {
        hint: `Copy it again after rootling renew ${shellWord(certPath)}; to have one renewed here: ${issueHere}`,
      },
    )
  throw new RootlingError(
    'usage',
    `${quotedPath(path)} was issued as ${quotedPath(certPath)}, where renewals write, and which is gone.`,
    {
      hint: `Move it back: ${toMove(path, certPath)}. Or issue it here and forget the other: ${issueHere}; then rootling forget ${shellWord(certPath)}`,
    },
  )
}

/** Returns where the key of a certificate is if both were moved together. */
function keyBeside({ certPath, keyPath }: CertificateRecord, path: string): string | null {
  if (certPath !== null && certPath === keyPath) return path
  if (keyPath !== null) return join(dirname(path), basename(keyPath))
  if (certPath !== null) return null
  return join(dirname(path), `${basename(path).replace(/\.[^.]*$/, '')}-key.pem`)
}
