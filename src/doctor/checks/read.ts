import { readFile, stat } from 'node:fs/promises'

/** The largest settings file or bundle that is read, in octets. */
const largest = 4 * 1024 * 1024

/**
 * Reads a small text file, also through a link, as people keep their settings; `null`: there is
 * none, or it cannot be read.
 */
export async function readSmall(path: string): Promise<string | null> {
  try {
    const { size } = await stat(path).then((found) => (found.isFile() ? found : { size: Infinity }))
    return size > largest ? null : await readFile(path, 'latin1')
  } catch {
    return null
  }
}
