import { closeSync, constants, fstatSync, openSync } from 'node:fs'

/**
 * Whether a path leads to the file that is open as `held`. Opens the path to find out: `stat` and
 * `fstat` of libuv 1.49 and 1.50 name different devices for one file on Windows 11 24H2
 * (https://github.com/libuv/libuv/issues/4698).
 */
export function leadsTo(path: string, held: number): boolean {
  let there: number
  try {
    // O_NONBLOCK: opening a planted FIFO must not wait for ever.
    const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
    there = openSync(path, flags)
  } catch {
    return false
  }
  try {
    const [ours, theirs] = [fstatSync(held), fstatSync(there)]
    return ours.ino === theirs.ino && ours.dev === theirs.dev
  } finally {
    closeSync(there)
  }
}
