import { readFileSync, statSync } from 'node:fs'

/** In octets; no file of public roots, and no configuration, has a megabyte. */
const largest = 16 * 1024 * 1024

/** Returns the text of a file, also through a link. What cannot be read, a pipe, a device and a directory are empty. */
export function textAt(path: string): string {
  try {
    const info = statSync(path)
    return info.isFile() && info.size <= largest ? readFileSync(path, 'utf8') : ''
  } catch {
    return ''
  }
}
