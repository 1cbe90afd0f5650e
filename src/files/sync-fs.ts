import {
  chownSync,
  fsync,
  fsyncSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  type MakeDirectoryOptions,
  type RmOptions,
  type Stats,
} from 'node:fs'
import { promisify } from 'node:util'
import { asOwner } from './as-owner.ts'
import { hasCode, unwritable } from './errors.ts'
import type { Owner } from './owner.ts'

/*
 * The page cache answers these calls, so they are made synchronously; the thread pool would cost a
 * command three times as much, and each command makes about ninety. Only `sync` waits for the disk.
 * Each but `removeFile` rejects with what node:fs throws. With `owner`, a step has the rights of `asOwner`.
 */

export const stat = async (path: string): Promise<Stats> => statSync(path)
export const readdir = async (path: string): Promise<string[]> => readdirSync(path)
/**
 * Renames a file or directory. Where that is refused it is tried again for a second: on Windows, and
 * on its drives in WSL, a virus scanner or an indexer may have the file open
 * (https://github.com/npm/write-file-atomic/issues/227).
 */
export const rename = (from: string, to: string, owner: Owner | null = null): Promise<void> =>
  patiently(() => asOwner(owner, () => renameSync(from, to)))
export const rm = async (path: string, options: RmOptions): Promise<void> => rmSync(path, options)
/**
 * Removes a file; absent is success. Throws `state-unwritable`. `rmSync` would load a module for
 * directories.
 */
export const removeFile = async (path: string, owner: Owner | null = null): Promise<void> => {
  const remove = (): void => asOwner(owner, () => unlinkSync(path))
  try {
    // Elsewhere a refusal is final, since an open file can be deleted there.
    if (process.platform === 'win32') await patiently(remove)
    else remove()
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw unwritable(path, error)
  }
}

/** What Windows answers while another program has a file open. */
const passing = new Set(['EPERM', 'EACCES', 'EBUSY'])

/** Takes a step, and where that is refused for now tries it again, for about a second. */
async function patiently(step: () => void): Promise<void> {
  for (let pause = 10; ; pause *= 2) {
    try {
      return step()
    } catch (error) {
      const isPassing = passing.has((error as NodeJS.ErrnoException).code ?? '')
      if (!isPassing || pause > 640) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}
export const chown = async (path: string, uid: number, gid: number): Promise<void> =>
  chownSync(path, uid, gid)
/**
 * Makes a directory. With `recursive`, it makes missing parents too, and returns the first
 * directory that it made.
 */
export const mkdir = async (
  path: string,
  options: MakeDirectoryOptions,
  owner: Owner | null = null,
): Promise<string | undefined> => asOwner(owner, () => mkdirSync(path, options))

let inPlace = false
const syncInThread = promisify(fsync)

/** Waits until a file is on the disk; takes its descriptor. */
export const sync = async (descriptor: number): Promise<void> =>
  inPlace ? fsyncSync(descriptor) : syncInThread(descriptor)

/**
 * Makes `sync` wait in this thread, for a process without other tasks meanwhile: the thread pool
 * would cost it a millisecond.
 */
export function syncInPlace(): void {
  inPlace = true
}
