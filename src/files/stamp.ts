import { statSync } from 'node:fs'
import { hasCode } from './errors.ts'

/**
 * A text that changes whenever a file or a directory's list of names does, also when a backup is
 * put in its place; `absent`: there is none. Throws what `stat` throws.
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
