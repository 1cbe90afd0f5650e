import {
  closeSync,
  fstatSync,
  lstatSync,
  readdirSync,
  readSync,
  rmdirSync,
  type Dirent,
} from 'node:fs'
import { join } from 'node:path'
import { isLeftover } from './atomic.ts'
import { hasCode, unreadable, unwritable } from './errors.ts'
import { openNoFollow } from './read.ts'
import { removeFile } from './sync-fs.ts'

/**
 * What this program writes into a directory. Everything else there is foreign, and so is a symbolic
 * link, since this program makes none.
 */
export interface Layout {
  /**
   * The files, in the order in which they are deleted. A value says how such a file begins; a file
   * of that name that begins otherwise is foreign, but an empty one is not.
   */
  readonly files?: Readonly<Record<string, RegExp>>
  /** Files with names of one form. They are deleted before `files`. */
  readonly numbered?: RegExp
  /** The name of a Unix socket. */
  readonly socket?: string
  /**
   * Returns what this program writes into a directory of this name; `undefined`: it is foreign;
   * `ignored`: it is neither listed nor entered.
   */
  readonly directory?: (name: string) => Layout | 'ignored' | undefined
}

/** What is in a directory, as absolute paths. */
export interface Entries {
  /** Files that this program wrote, in the order in which they are deleted. */
  readonly files: readonly string[]
  /** Directories that this program made, each after those inside it. */
  readonly directories: readonly string[]
  /** A foreign directory, or one that holds only foreign files, is one entry. */
  readonly foreign: readonly string[]
}

/**
 * Lists what is in a directory, without following symbolic links in it; an absent directory has
 * nothing in it. Throws `file-unreadable`.
 */
export function entriesOf(path: string, layout: Layout): Entries {
  const own: { path: string; rank: number }[] = []
  const below: Entries[] = []
  const foreign: string[] = []
  const order = Object.keys(layout.files ?? {})
  for (const entry of list(path)) {
    const child = join(path, entry.name)
    const inside = entry.isDirectory() ? layout.directory?.(entry.name) : undefined
    if (inside === 'ignored') continue
    if (inside !== undefined) {
      const entries = entriesOf(child, inside)
      const isForeign = entries.foreign.length > 0 && entries.files.length === 0
      if (isForeign && entries.directories.length === 0) foreign.push(child)
      else below.push({ ...entries, directories: [...entries.directories, child] })
    } else if (isOwn(child, entry, layout))
      own.push({ path: child, rank: order.indexOf(entry.name) })
    else foreign.push(child)
  }
  const files = own.toSorted((a, b) => a.rank - b.rank).map((file) => file.path)
  return {
    files: [...below.flatMap((entries) => entries.files), ...files],
    directories: below.flatMap((entries) => entries.directories),
    foreign: [...foreign, ...below.flatMap((entries) => entries.foreign)].toSorted(),
  }
}

/**
 * Deletes the files, one by one, and then those directories that are empty. Throws
 * `state-unwritable`.
 */
export async function removeEntries({
  files,
  directories = [],
}: Pick<Entries, 'files'> & Partial<Entries>): Promise<void> {
  for (const path of files) await removeFile(path)
  for (const path of directories) removeIfEmpty(path)
}

/** Deletes a directory, but not one with something in it, or one that the system holds on to. */
export function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path)
  } catch (error) {
    const kept = ['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR', 'EBUSY', 'EPERM', 'EACCES', 'EROFS']
    if (!hasCode(error, ...kept)) throw unwritable(path, error)
  }
}

/** Whether something has this path; a symbolic link that leads nowhere has it too. */
export const isTaken = (path: string): boolean =>
  lstatSync(path, { throwIfNoEntry: false }) !== undefined

function list(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true })
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw unreadable(path, error)
  }
}

function isOwn(path: string, entry: Dirent, { files = {}, numbered, socket }: Layout): boolean {
  if (entry.isSocket()) return entry.name === socket
  if (!entry.isFile()) return false
  if (isLeftover(entry.name) || numbered?.test(entry.name) === true) return true
  const beginning = Object.hasOwn(files, entry.name) ? files[entry.name] : undefined
  if (beginning === undefined) return false
  if (beginning === anyText) return true
  if (beginning === nothing) return lstatSync(path, { throwIfNoEntry: false })?.size === 0
  const text = beginningOf(path)
  return text === '' || beginning.test(text)
}

/** For a file whose name alone says that this program wrote it. */
export const anyText = /^/

/**
 * For a file that stays empty, such as a lock. It is not opened, since to close it would give back the lock
 * that this process may have on it: see portable-lock.ts.
 */
export const nothing = /^$/

/** Returns the first characters of a file. Throws `file-unreadable`. */
function beginningOf(path: string): string {
  const file = openNoFollow(path)
  if (file === null) return 'gone'
  try {
    if (!fstatSync(file).isFile()) return 'not a regular file'
    const bytes = Buffer.alloc(16 * 1024)
    return bytes.toString('utf8', 0, readSync(file, bytes, 0, bytes.length, 0))
  } catch (error) {
    throw unreadable(path, error)
  } finally {
    closeSync(file)
  }
}
