import { X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { isTaken } from './file-status.ts'

/** The largest file that is searched, in octets. */
const largest = 64 * 1024 * 1024

/** The first four octets of the formats JKS and JCEKS. */
const jks = new Set([0xfeedfeed, 0xcececece])

/**
 * Whether the file of a store certainly does not hold a root, even if no program can read the store:
 * the file is empty, or it is of a format that keeps certificates as they are (SQLite, JKS, JCEKS)
 * and no piece of the root's key is in it. A piece is short, because a database may divide a
 * certificate between two pages.
 */
export async function lacksRoot(file: string, der: Buffer): Promise<boolean> {
  const size = (await stat(file).catch(() => null))?.size ?? Number.POSITIVE_INFINITY
  if (size > largest) return false
  // What a database has not written yet is in a file beside it.
  for (const suffix of ['-journal', '-wal']) if (await isTaken(`${file}${suffix}`)) return false
  const bytes = await readFile(file).catch(() => null)
  if (bytes === null || !keepsCertificatesAsTheyAre(bytes)) return false
  const key = new X509Certificate(der).publicKey.export({ type: 'spki', format: 'der' })
  const pieces = [64, 48, 32, 16].map((end) => key.subarray(key.length - end).subarray(0, 16))
  return !pieces.some((piece) => bytes.includes(piece))
}

function keepsCertificatesAsTheyAre(bytes: Buffer): boolean {
  if (bytes.length === 0) return true
  if (bytes.toString('latin1', 0, 15) === 'SQLite format 3') return true
  return bytes.length >= 4 && jks.has(bytes.readUInt32BE(0))
}
