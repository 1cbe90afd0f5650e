import { RootlingError } from '../errors.ts'
import { hasCode } from '../files/errors.ts'

/**
 * Returns the directory in which the command was started. Throws `file-unreadable` when it was
 * deleted since; commands that name no files by relative paths work there all the same.
 */
export function currentDirectory(): string {
  try {
    return process.cwd()
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error
    throw new RootlingError('file-unreadable', 'The current directory was deleted.', {
      hint: 'cd to a directory that exists',
      cause: error,
    })
  }
}
