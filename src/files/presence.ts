import { accessSync, existsSync, statSync } from 'node:fs'
import { hasCode, unwritable } from './errors.ts'

export const exists = async (path: string): Promise<boolean> => existsNow(path)

/** The same for many in a row, of which each promise would cost more than the question. */
export function existsNow(path: string): boolean {
  if (existsSync(path)) return true
  try {
    accessSync(path)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false
    throw unwritable(path, error)
  }
}

/**
 * Changes whenever a file or the list of a directory does, a backup put in its place included;
 * `absent`: there is none. Throws what `stat` throws.
 */
export async function stampOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = statSync(path, { bigint: true })
    return `${ino} ${size} ${mtimeNs}`
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 'absent'
    throw error
  }
}
