import { closeSync, constants, fstatSync, openSync, statSync } from 'node:fs'
import { readWithin } from '../files/read-within.ts'

/** In octets; no file of public roots, and no configuration, has a megabyte. */
const largest = 16 * 1024 * 1024

/** Returns the text of a file, also through a link. What cannot be read, a pipe, a device and a directory are empty. */
export function textAt(path: string): string {
  try {
    // Looked at before too, since opening some devices does something.
    if (!statSync(path).isFile()) return ''
    // O_NONBLOCK: otherwise opening a pipe that came meanwhile would wait for ever.
    const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    try {
      return fstatSync(file).isFile() ? (readWithin(file, largest)?.toString() ?? '') : ''
    } finally {
      closeSync(file)
    }
  } catch {
    return ''
  }
}
