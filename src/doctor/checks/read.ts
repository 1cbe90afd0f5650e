import { constants } from 'node:fs'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { certificatesIn } from '../../../platform/pem.ts'
import { readWithin } from '../../files/read-within.ts'

/** The largest settings file or bundle that is read, in octets. */
const largest = 4 * 1024 * 1024

/**
 * Reads a small text file, also through a link, as people keep their settings; `null`: there is
 * none, or it cannot be read.
 */
export async function readSmall(path: string): Promise<string | null> {
  try {
    // Looked at before too, since opening some devices does something.
    if (!(await stat(path)).isFile()) return null
    // O_NONBLOCK: otherwise opening a pipe that came meanwhile would wait for ever.
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    try {
      const found = await file.stat()
      return found.isFile() ? (readWithin(file.fd, largest)?.toString('latin1') ?? null) : null
    } finally {
      await file.close()
    }
  } catch {
    return null
  }
}

/** The most files of a directory of roots that are read. */
const mostFiles = 2_000

/**
 * Returns the certificates in a directory of roots: in the files that OpenSSL's hashes name, or with
 * `anyName`, as Go reads it, in all.
 */
export async function rootsInDirectory(path: string, anyName = false): Promise<Buffer[]> {
  const names = await readdir(path).catch(() => [])
  const read = names
    .filter((name) => anyName || /^[0-9a-f]{8}\.\d+$/.test(name))
    .slice(0, mostFiles)
  const texts = await Promise.all(read.map((name) => readSmall(join(path, name))))
  return texts.flatMap((text) => certificatesIn(text ?? ''))
}
