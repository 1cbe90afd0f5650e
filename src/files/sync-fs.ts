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

/*
 * The page cache answers these calls, so they are made synchronously; the thread pool would cost a
 * command three times as much, and each command makes about ninety. Only `sync` waits for the disk.
 * Each rejects with what node:fs throws.
 */

export const stat = async (path: string): Promise<Stats> => statSync(path)
export const readdir = async (path: string): Promise<string[]> => readdirSync(path)
export const rename = async (from: string, to: string): Promise<void> => renameSync(from, to)
export const rm = async (path: string, options: RmOptions): Promise<void> => rmSync(path, options)
/** Removes a file; absent is success. `rmSync` would load a module for directories. */
export const removeFile = async (path: string): Promise<void> => {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
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
): Promise<string | undefined> => mkdirSync(path, options)

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
