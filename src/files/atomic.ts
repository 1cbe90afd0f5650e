import { randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { RootlingError } from '../errors.ts'
import { keepToUser } from './access-list.ts'
import { asOwner } from './as-owner.ts'
import { hasCode, unwritable } from './errors.ts'
import { exists } from './exists.ts'
import { isMountPoint } from './mount-point.ts'
import type { Owner } from './owner.ts'
import { mkdir, readdir, removeFile, rename, rm, sync } from './sync-fs.ts'
import { quotedPath } from '../shell-word.ts'

/**
 * A part of the names of unfinished files. By it, the next process that has the lock finds what a
 * killed process left, and deletes it.
 */
const temporaryMark = '.rootling-tmp-'

export interface FileContents {
  /**
   * The whole contents, or pieces that are written one after the other, without another task in
   * between.
   */
  readonly data: string | Uint8Array | Iterable<string>
  readonly mode: number
  /** Whether the file holds a key or a token: on Windows it is the user's alone before it is written. */
  readonly secret?: boolean
  /**
   * Whose rights decide, under sudo, whether the file may be written there; default: its owner's.
   * `null`: root's, for a path that was typed on this command line.
   */
  readonly rights?: Owner | null
}

/** A file that is complete and synced, under a temporary name beside its target. */
export interface StagedFile {
  /** Renames the file over its target and syncs the directory. Writes a mount point in place. */
  commit(): Promise<void>
  discard(): Promise<void>
}

/**
 * Replaces a file as a whole: writes the new file beside it under a temporary name, syncs it,
 * renames it over the old one and syncs the directory. The new file is opened with `wx`, so that a
 * link that an attacker planted is not followed. A file that is a mount point cannot be replaced, so
 * it is written in place. Throws `state-unwritable`. The package write-file-atomic neither syncs the
 * directory nor uses `wx`.
 */
export async function writeFileAtomic(
  path: string,
  contents: FileContents,
  owner: Owner | null = null,
): Promise<void> {
  const staged = await stageFile(path, contents, owner)
  await staged.commit()
}

/**
 * Does the first half of `writeFileAtomic`, all but the rename. A full disk makes this half fail,
 * not `commit`.
 */
export async function stageFile(
  path: string,
  contents: FileContents,
  owner: Owner | null = null,
): Promise<StagedFile> {
  const temporary = temporaryName(path)
  const { rights = owner } = contents
  const discard = (): Promise<void> => removeFile(temporary, rights).catch(() => undefined)
  const guarded = async (step: () => Promise<void>): Promise<void> => {
    try {
      await step()
    } catch (error) {
      await discard()
      throw unwritable(path, error)
    }
  }
  try {
    await guarded(() => writeNew(temporary, contents, owner))
  } catch (error) {
    // A container may mount the file alone into a directory in which no file can be made.
    const { cause } = error as RootlingError
    if (!hasCode(cause, 'EROFS', 'EACCES', 'EPERM') || !isMountPoint(path)) throw error
    return { commit: () => guarded(() => writeInPlace(path, contents, owner)), discard }
  }
  const commit = async (): Promise<void> => {
    try {
      await rename(temporary, path, rights)
    } catch (error) {
      if (!hasCode(error, 'EBUSY') || !isMountPoint(path)) throw error
      // The pieces of `contents` may be gone by now, so they are read back.
      await writeInPlace(path, { ...contents, data: readFileSync(temporary) }, owner)
      return discard()
    }
    await syncDirectory(dirname(path))
  }
  return { commit: () => guarded(commit), discard }
}

/**
 * Makes a directory with its files as one unit: writes all of it under a temporary name, then
 * renames it. Returns `false` where something has that name already; nothing is changed then.
 */
export async function createDirectoryAtomic(
  path: string,
  files: Readonly<Record<string, FileContents>>,
  owner: Owner | null = null,
): Promise<boolean> {
  if (await exists(path)) return false
  const temporary = temporaryName(path)
  try {
    await mkdir(temporary, { mode: 0o700 }, owner)
    for (const [name, contents] of Object.entries(files))
      await writeNew(join(temporary, name), contents, owner)
    await syncDirectory(temporary)
    await rename(temporary, path, owner)
    await syncDirectory(dirname(path))
    return true
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined)
    if (hasCode(error, 'ENOTEMPTY', 'EEXIST')) return false
    throw unwritable(path, error)
  }
}

/**
 * Gives a directory a temporary name, so that it disappears in one step. Returns that name; `null`:
 * the directory is absent. Whoever has the lock next deletes what a killed process left there.
 */
export async function renameAway(path: string): Promise<string | null> {
  const temporary = temporaryName(path)
  try {
    await rename(path, temporary)
    await syncDirectory(dirname(path))
    return temporary
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null
    throw unwritable(path, error)
  }
}

/**
 * Whether a name is of the form that unfinished files and directories have here, or only of those
 * of `file`.
 */
export function isLeftover(name: string, file = ''): boolean {
  if (!name.includes(temporaryMark)) return false
  const [, of] = /^\.(.+)\.rootling-tmp-\d+-[0-9a-f]{12}$/s.exec(name) ?? []
  return of !== undefined && (file === '' || of === file)
}

/**
 * Deletes the unfinished files that killed processes left in a directory, or only those of `file`
 * in it. Call it under the lock.
 */
export async function sweepLeftovers(directory: string, file = ''): Promise<void> {
  for (const name of await readdir(directory).catch(() => []))
    if (isLeftover(name, file)) await removeFile(join(directory, name)).catch(() => undefined)
}

/**
 * Deletes what killed processes left unfinished in a directory, or only of `file` in it, without the
 * lock: what a living process may be writing is left alone.
 */
export async function sweepDead(directory: string, file = ''): Promise<void> {
  for (const name of await readdir(directory).catch(() => []))
    if (isLeftover(name, file) && !isAlive(Number(/(\d+)-[0-9a-f]{12}$/.exec(name)?.[1])))
      await removeFile(join(directory, name)).catch(() => undefined)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !hasCode(error, 'ESRCH')
  }
}

/** Writes and syncs a new file. Fails where something has its name. */
async function writeNew(path: string, contents: FileContents, owner: Owner | null): Promise<void> {
  // Until it has its group, it is nobody else's to read.
  const { rights = owner } = contents
  const file = asOwner(rights, () => openSync(path, 'wx', contents.mode & 0o700))
  try {
    if (contents.secret === true) await keepToUser(path, 'file')
    writeAll(file, contents.data)
    if (owner !== null) fchownSync(file, owner.uid, owner.gid)
    fchmodSync(file, contents.mode)
    await sync(file)
  } finally {
    closeSync(file)
  }
}

/**
 * Overwrites an existing regular file. Its owner and mode are set before its contents, which may be
 * a key. After a kill in between, the file is a beginning of the contents.
 */
async function writeInPlace(
  path: string,
  contents: FileContents,
  owner: Owner | null,
): Promise<void> {
  const { data, mode, rights = owner } = contents
  const flags = constants.O_WRONLY | (constants.O_NOFOLLOW ?? 0)
  const file = asOwner(rights, () => openSync(path, flags))
  try {
    const found = fstatSync(file)
    if (!found.isFile())
      throw new RootlingError('state-unwritable', `${quotedPath(path)} is no regular file.`)
    if (owner !== null && (found.uid !== owner.uid || found.gid !== owner.gid))
      fchownSync(file, owner.uid, owner.gid)
    if ((found.mode & 0o777) !== mode) fchmodSync(file, mode)
    ftruncateSync(file)
    writeAll(file, data)
    await sync(file)
  } finally {
    closeSync(file)
  }
}

function writeAll(file: number, data: FileContents['data']): void {
  const pieces = typeof data === 'string' || data instanceof Uint8Array ? [data] : data
  for (const piece of pieces) writeFileSync(file, piece)
}

export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const directory = openSync(path, constants.O_RDONLY)
  try {
    await sync(directory)
  } finally {
    closeSync(directory)
  }
}

function temporaryName(path: string): string {
  const unique = `${process.pid}-${randomBytes(6).toString('hex')}`
  return join(dirname(path), `.${basename(path)}${temporaryMark}${unique}`)
}
