import { accessSync, constants } from 'node:fs'
import { shellWord } from '../src/shell-word.ts'

/** Whether a directory is on a file system that is mounted read-only. */
export function isReadOnly(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK)
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EROFS'
  }
}

/** Returns the hint for a store on a read-only file system: how it can be written to. */
export const toMakeWritable = (directory: string): string =>
  `sudo mount -o remount,rw "$(findmnt -n -o TARGET -T ${shellWord(directory)})", then: rootling install`
