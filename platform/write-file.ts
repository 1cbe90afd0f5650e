import { chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../src/errors.ts'
import { isTaken } from './file-status.ts'

/**
 * Writes a whole file that every user can read (mode 0644): under a temporary name, then renamed.
 * Creates the parent directories. Throws `store-failed`.
 */
export async function writeReadableFile(file: string, contents: string): Promise<void> {
  const temporary = `${file}.rootling-${process.pid}`
  try {
    await makeReadableDirectory(path.dirname(file))
    await writeFile(temporary, contents, { mode: 0o644, flag: 'wx' })
    // With a strict umask, the file would otherwise be readable only by root.
    await chmod(temporary, 0o644)
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw new RootlingError('store-failed', `${file} cannot be written${becauseOf(error)}.`, {
      cause: error,
    })
  }
}

/** Returns the reason of an error of the file system as the end of a sentence, where it helps. */
export function becauseOf(error: unknown): string {
  const isReadOnly = error instanceof Error && 'code' in error && error.code === 'EROFS'
  return isReadOnly ? ', because it is on a read-only file system' : ''
}

async function makeReadableDirectory(directory: string): Promise<void> {
  if (await isTaken(directory)) return
  await makeReadableDirectory(path.dirname(directory))
  await mkdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await chmod(directory, 0o755)
}
