import { randomBytes } from 'node:crypto'
import { closeSync, constants, fchmodSync, fchownSync, openSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { hasCode, unwritable } from './errors.ts'
import { exists } from './exists.ts'
import type { Owner } from './owner.ts'
import { chown, mkdir, readdir, removeFile, rename, rm, sync } from './sync-fs.ts'

/**
 * In the names of unfinished files. What a killed process left is swept by the next that has the
 * lock.
 */
const temporaryMark = '.rootling-tmp-'

export interface FileContents {
  /** Pieces are written one after the other, without another task in between. */
  readonly data: string | Uint8Array | Iterable<string>
  readonly mode: number
}

/** A file that is complete and synced, under a temporary name beside its target. */
export interface StagedFile {
  /** Renames it over the target and syncs the directory. */
  commit(): Promise<void>
  discard(): Promise<void>
}

/**
 * Replaces one file as a whole: it is made beside it under a temporary name (`wx`, so that a link
 * that an attacker planted is not followed), synced and renamed, and the directory is synced.
 * Throws `state-unwritable`. The package write-file-atomic does not sync the directory, nor use
 * `wx`.
 */
export async function writeFileAtomic(
  path: string,
  contents: FileContents,
  owner: Owner | null = null,
): Promise<void> {
  const staged = await stageFile(path, contents, owner)
  await staged.commit()
}

/** The first half of `writeFileAtomic`. A full disk makes this half fail, not `commit`. */
export async function stageFile(
  path: string,
  contents: FileContents,
  owner: Owner | null = null,
): Promise<StagedFile> {
  const temporary = temporaryName(path)
  const discard = (): Promise<void> => removeFile(temporary).catch(() => undefined)
  const guarded = async (step: () => Promise<void>): Promise<void> => {
    try {
      await step()
    } catch (error) {
      await discard()
      throw unwritable(path, error)
    }
  }
  await guarded(() => writeNew(temporary, contents, owner))
  const commit = async (): Promise<void> => {
    await rename(temporary, path)
    await syncDirectory(dirname(path))
  }
  return { commit: () => guarded(commit), discard }
}

/**
 * Makes a directory of files as one unit: complete under a temporary name, then renamed.
 * `false`: something of that name is there already, and nothing was changed.
 */
export async function createDirectoryAtomic(
  path: string,
  files: Readonly<Record<string, FileContents>>,
  owner: Owner | null = null,
): Promise<boolean> {
  if (await exists(path)) return false
  const temporary = temporaryName(path)
  try {
    await mkdir(temporary, { mode: 0o700 })
    if (owner !== null) await chown(temporary, owner.uid, owner.gid)
    for (const [name, contents] of Object.entries(files))
      await writeNew(join(temporary, name), contents, owner)
    await syncDirectory(temporary)
    await rename(temporary, path)
    await syncDirectory(dirname(path))
    return true
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined)
    if (hasCode(error, 'ENOTEMPTY', 'EEXIST')) return false
    throw unwritable(path, error)
  }
}

/** Renames a directory, in one step, and deletes it then; absent is success. */
export async function removeDirectoryAtomic(path: string): Promise<void> {
  const temporary = temporaryName(path)
  try {
    await rename(path, temporary)
    await syncDirectory(dirname(path))
    await rm(temporary, { recursive: true, force: true })
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw unwritable(path, error)
  }
}

/**
 * Deletes what killed processes left in a directory, or of one file in it. Call it under the lock.
 */
export async function sweepLeftovers(directory: string, file = ''): Promise<void> {
  const names = await readdir(directory).catch(() => [])
  for (const name of names)
    if (name.startsWith(`.${file}`) && name.includes(temporaryMark))
      await rm(join(directory, name), { recursive: true, force: true }).catch(() => undefined)
}

/** `sweepLeftovers` without the lock: what a living process may be writing is left alone. */
export async function sweepDead(directory: string, file: string): Promise<void> {
  const start = `.${file}${temporaryMark}`
  for (const name of await readdir(directory).catch(() => []))
    if (name.startsWith(start) && !isAlive(Number.parseInt(name.slice(start.length), 10)))
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

/** Writes and syncs a new file; fails where something has its name. */
async function writeNew(path: string, contents: FileContents, owner: Owner | null): Promise<void> {
  const file = openSync(path, 'wx', contents.mode)
  try {
    const { data } = contents
    const pieces = typeof data === 'string' || data instanceof Uint8Array ? [data] : data
    for (const piece of pieces) writeFileSync(file, piece)
    // The umask may have cleared bits that certificates need, such as those of 0644.
    fchmodSync(file, contents.mode)
    if (owner !== null) fchownSync(file, owner.uid, owner.gid)
    await sync(file)
  } finally {
    closeSync(file)
  }
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
