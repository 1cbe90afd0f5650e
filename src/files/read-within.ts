import { fstatSync, readFileSync, readSync } from 'node:fs'

/** In octets. */
const pieceLength = 64 * 1024

/**
 * Reads an open regular file from its beginning; `null`: it has more than `limit` octets. Files of
 * /proc say that they have none, and /proc/self/pagemap, to which anybody's link may lead, has
 * hundreds of gigabytes.
 */
export function readWithin(file: number, limit: number): Buffer | null {
  const { size } = fstatSync(file)
  if (size > limit) return null
  if (size > 0) return readFileSync(file)
  const pieces: Buffer[] = []
  for (let length = 0; length <= limit;) {
    const piece = Buffer.allocUnsafe(pieceLength)
    const read = readSync(file, piece)
    if (read === 0) return Buffer.concat(pieces)
    pieces.push(piece.subarray(0, read))
    length += read
  }
  return null
}
