import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { hasCode, unwritable } from './errors.ts'

/** Whether something has this path. Throws `state-unwritable` where that cannot be found out. */
export const exists = async (path: string): Promise<boolean> => existsSync(path)

/**
 * Does what `exists` does for many paths in a row, where a promise for each would cost more than
 * the system call.
 */
export function existsSync(path: string): boolean {
  try {
    // `accessSync` would make an error for each absent file, which takes longer than the call, and
    // Node's `existsSync` would not say why it found none.
    return statSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false
    throw unwritable(path, error)
  }
}

/** Whether nothing has this path for certain: not so where it cannot be found out. */
export function isGone(path: string): boolean {
  try {
    return !existsSync(path)
  } catch {
    return false
  }
}

/** Returns a path, or the nearest directory above it that exists. Links are followed. */
export function nearestExisting(path: string): string {
  const above = dirname(path)
  if (path === above || statSync(path, { throwIfNoEntry: false }) !== undefined) return path
  return nearestExisting(above)
}
