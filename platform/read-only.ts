import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { shellWord } from '../src/shell-word.ts'

/** Whether a directory is on a file system that is mounted read-only. */
export async function isReadOnly(directory: string): Promise<boolean> {
  return access(directory, constants.W_OK).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'EROFS',
  )
}

/** Returns the hint for a store on a read-only file system: how it can be written to. */
export const toMakeWritable = (directory: string): string =>
  `sudo mount -o remount,rw "$(findmnt -n -o TARGET -T ${shellWord(directory)})", then: rootling install`
