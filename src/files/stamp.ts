import { statSync } from 'node:fs'
import { hasCode } from './errors.ts'

/**
 * Returns a text that changes whenever a file, or a directory's list of names, changes, also when a
 * backup is put in its place. The text is `absent` where nothing has the path. Throws what `stat`
 * throws.
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
