import { closeSync, openSync, readSync } from 'node:fs'
import { isFile } from './file-status.ts'

/** Returns the first octets of a file, at most `limit`; `null`: it is no file, or cannot be read. */
export async function readStart(file: string, limit: number): Promise<Buffer | null> {
  // Only a regular file is opened: opening a named pipe would wait for its writer for ever.
  if (!(await isFile(file))) return null
  try {
    const opened = openSync(file, 'r')
    try {
      const start = Buffer.alloc(limit)
      return start.subarray(0, readSync(opened, start, 0, limit, 0))
    } finally {
      closeSync(opened)
    }
  } catch {
    return null
  }
}
