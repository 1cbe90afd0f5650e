import { constants } from 'node:fs'
import { open, stat } from 'node:fs/promises'

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
      return found.isFile() && found.size <= largest ? await file.readFile('latin1') : null
    } finally {
      await file.close()
    }
  } catch {
    return null
  }
}
