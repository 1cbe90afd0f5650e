import { isAscii } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { RootlingError } from '../errors.ts'
import type { Owner } from '../home/state-directory.ts'
import { chown, mkdir, readdir, removeFile, rename, rm, sync } from './sync-fs.ts'

/** Unfinished work of a writer that may have died: swept by the next one that holds the lock. */
const temporaryMark = '.rootling-tmp-'

export interface FileContents {
  /** Pieces are taken one after the other, all of them before anything else is done. */
  readonly data: string | Uint8Array | Iterable<string>
  readonly mode: number
}

/** A file that is complete and synced under a temporary name beside its target. */
export interface StagedFile {
  /** Renames it over the target and syncs the directory. */
  commit(): Promise<void>
  discard(): Promise<void>
}

/**
 * Replaces one file as a whole: made beside it under a temporary name (`wx`, so that nothing
 * planted is followed), synced, renamed, and the directory synced. Throws `state-unwritable`.
 * write-file-atomic does not sync the directory and opens its temporary file without `wx`.
 */
export async function writeFileAtomic(
  path: string,
  contents: FileContents,
  owner: Owner | null = null,
): Promise<void> {
  const staged = await stageFile(path, contents, owner)
  await staged.commit()
}

/** The first half of `writeFileAtomic`: whatever a full disk refuses, it refuses here. */
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

/** Takes a directory away in one step, then deletes it; absent is success. */
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

/** Creates a directory and its parents for the owner alone, or with another mode. */
export async function makePrivateDirectory(
  path: string,
  owner: Owner | null,
  mode = 0o700,
): Promise<void> {
  try {
    const first = await makeMissing(path, mode)
    if (first === undefined || owner === null) return
    for (let made = path; made.length >= first.length; made = dirname(made))
      await chown(made, owner.uid, owner.gid)
  } catch (error) {
    throw unwritable(path, error)
  }
}

/**
 * The first directory that it made. Node's own recursion calls a read-only disk ENOENT, and never
 * ends in /proc, which says ENOENT although the parent is there.
 */
async function makeMissing(path: string, mode: number): Promise<string | undefined> {
  const make = async (): Promise<boolean> => {
    try {
      await mkdir(path, { mode })
      return true
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false
      throw error
    }
  }
  // Mostly it is there, and an error takes Node longer to make than this to ask.
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return undefined
  try {
    return (await make()) ? path : undefined
  } catch (error) {
    if (!hasCode(error, 'ENOENT') || dirname(path) === path) throw error
    const first = await makeMissing(dirname(path), mode)
    const last = (await make()) ? path : undefined
    return first ?? last
  }
}

/** Deletes what dead writers left in a directory, or of one file in it. Only under the lock. */
export async function sweepLeftovers(directory: string, file = ''): Promise<void> {
  const names = await readdir(directory).catch(() => [])
  for (const name of names)
    if (name.startsWith(`.${file}`) && name.includes(temporaryMark))
      await rm(join(directory, name), { recursive: true, force: true }).catch(() => undefined)
}

/** The same without a lock: what a process that still lives may be writing is left alone. */
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

/** A new file that nobody else can have opened; synced. */
async function writeNew(path: string, contents: FileContents, owner: Owner | null): Promise<void> {
  const file = openSync(path, 'wx', contents.mode)
  try {
    const { data } = contents
    const pieces = typeof data === 'string' || data instanceof Uint8Array ? [data] : data
    for (const piece of pieces) writeFileSync(file, piece)
    // The umask may have taken bits away that certificates need, such as 0644's.
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

/** A whole file as text, through no symbolic link; `null`: absent. At most `limit` octets. */
export async function readText(path: string, limit = 16 * 1024 * 1024): Promise<string | null> {
  const file = openNoFollow(path)
  if (file === null) return null
  try {
    return readBounded(path, file, limit)
  } finally {
    closeSync(file)
  }
}

/**
 * A private key's file as text; `null`: absent. Throws `loose-key` when others can read it or
 * another user owns it, with the command that mends it: it is never mended silently.
 */
export async function readPrivateText(path: string, owner: Owner | null): Promise<string | null> {
  const file = openNoFollow(path)
  if (file === null) return null
  try {
    refuseLoose(path, statRegular(path, file), owner)
    return readBounded(path, file, 1024 * 1024)
  } finally {
    closeSync(file)
  }
}

function refuseLoose(path: string, { mode, uid }: Stats, owner: Owner | null): void {
  if (process.platform === 'win32') return
  const mine = process.geteuid?.()
  if (uid !== mine && uid !== owner?.uid)
    throw new RootlingError('loose-key', `The private key ${path} belongs to another user.`, {
      hint: `sudo chown ${owner?.uid ?? mine} ${shellWord(path)}`,
    })
  if ((mode & 0o077) !== 0) {
    const octal = (mode & 0o777).toString(8).padStart(4, '0')
    throw new RootlingError(
      'loose-key',
      `Others can read the private key ${path} (mode ${octal}).`,
      {
        hint: `chmod 600 ${shellWord(path)}`,
      },
    )
  }
}

/** A descriptor; `null`: absent. */
function openNoFollow(path: string): number | null {
  try {
    // O_NONBLOCK: a planted FIFO must not hang us.
    const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
    return openSync(path, flags)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null
    if (hasCode(error, 'ELOOP'))
      throw new RootlingError('file-unreadable', `${path} is a symbolic link.`, {
        hint: 'Put the file itself in its place: links are not followed here',
        cause: error,
      })
    throw new RootlingError('file-unreadable', `${path} cannot be read${because(error)}.`, {
      hint: reasons[errorCode(error)]?.[1],
      cause: error,
    })
  }
}

/** Of a regular file; throws `file-unreadable` for anything else. */
function statRegular(path: string, file: number): Stats {
  const stats = fstatSync(file)
  if (stats.isFile()) return stats
  throw new RootlingError('file-unreadable', `${path} is not a regular file.`, {
    hint: `See what it is: ls -ld ${shellWord(path)}`,
  })
}

function readBounded(path: string, file: number, limit: number): string {
  sizeWithin(path, file, limit)
  try {
    return textOf(readFileSync(file))
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** Of a regular file of at most `limit` octets; throws `file-unreadable` for anything else. */
function sizeWithin(path: string, file: number, limit: number): number {
  const { size } = statRegular(path, file)
  if (size <= limit) return size
  throw new RootlingError('file-unreadable', `${path} is larger than ${limit} bytes.`, {
    hint: `See what it is: head -c 200 ${shellWord(path)}`,
  })
}

/** No line that we write comes near it. */
const longestLine = 16 * 1024 * 1024

function refuseLongLine(path: string, length: number): void {
  if (length > longestLine)
    throw new RootlingError('file-unreadable', `${path} holds a line of more than 16 MiB.`, {
      hint: `Restore it from a backup, or see how its lines begin: cut -c 1-80 ${shellWord(path)}`,
    })
}

/** Half the time of readFileSync(file, 'utf8') on Node 20. */
const textOf = (bytes: Buffer): string => bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8')

function unreadable(path: string, error: unknown): RootlingError {
  return new RootlingError('file-unreadable', `${path} cannot be read${because(error)}.`, {
    cause: error,
  })
}

/**
 * A file's text in pieces of about four megabytes, each of whole lines but perhaps the last; nothing
 * where it is absent. As `readText` otherwise.
 */
export function* readPieces(path: string, limit: number): Generator<string> {
  const file = openNoFollow(path)
  if (file === null) return
  try {
    const room = Math.min(sizeWithin(path, file, limit) + 1, 4 * 1024 * 1024)
    let bytes: Buffer = Buffer.allocUnsafe(room)
    let held = 0
    for (;;) {
      refuseLongLine(path, held)
      if (held === bytes.length) bytes = Buffer.concat([bytes], 2 * held)
      const read = readInto(path, file, bytes, held)
      if (read === 0) break
      const cut = bytes.lastIndexOf(0x0a, held + read - 1) + 1
      if (cut > 0) yield textOf(bytes.subarray(0, cut))
      bytes.copyWithin(0, cut, held + read)
      held += read - cut
    }
    if (held > 0) yield textOf(bytes.subarray(0, held))
  } finally {
    closeSync(file)
  }
}

/** How much to read at once where it goes on from piece to piece: V8 keeps such a text among the young. */
const pieceLength = 96 * 1024

/**
 * The same from the end to the beginning, in smaller pieces of whole lines; after the last newline,
 * which the first piece may hold, comes what is unfinished.
 */
export function* readPiecesFromEnd(path: string, limit: number): Generator<string> {
  const file = openNoFollow(path)
  if (file === null) return
  try {
    let left = sizeWithin(path, file, limit)
    let bytes: Buffer = Buffer.allocUnsafe(Math.min(left, 2 * pieceLength))
    // The rest of a line that begins before what was read.
    let rest: Buffer = Buffer.alloc(0)
    while (left > 0) {
      refuseLongLine(path, rest.length)
      // A line that is longer is not copied again for each piece of it.
      const length = Math.min(left, Math.max(pieceLength, rest.length))
      left -= length
      if (bytes.length < length + rest.length)
        bytes = Buffer.allocUnsafe(2 * (length + rest.length))
      const read = readInto(path, file, bytes.subarray(0, length), 0, left)
      rest.copy(bytes, read)
      const whole = bytes.subarray(0, read + rest.length)
      const cut = left === 0 ? 0 : whole.indexOf(0x0a) + 1
      const begins = cut > 0 || left === 0
      if (begins) yield textOf(whole.subarray(cut))
      rest = Buffer.from(begins ? whole.subarray(0, cut) : whole)
    }
  } finally {
    closeSync(file)
  }
}

/** `position`: default from where the last one ended. */
function readInto(
  path: string,
  file: number,
  bytes: Buffer,
  at: number,
  position: number | null = null,
): number {
  try {
    return readSync(file, bytes, at, bytes.length - at, position)
  } catch (error) {
    throw unreadable(path, error)
  }
}

export const exists = async (path: string): Promise<boolean> => existsNow(path)

/** The same for many in a row, of which each promise would cost more than the question. */
export function existsNow(path: string): boolean {
  if (existsSync(path)) return true
  try {
    accessSync(path)
    return true
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false
    throw unwritable(path, error)
  }
}

/**
 * Changes whenever a file or the list of a directory does, a backup put in its place included;
 * `absent`: there is none. Throws what `stat` throws.
 */
export async function stampOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = statSync(path, { bigint: true })
    return `${ino} ${size} ${mtimeNs}`
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 'absent'
    throw error
  }
}

const reasons: Readonly<Record<string, readonly [reason: string, hint: string]>> = {
  ENOSPC: ['the disk is full', 'Free some space and run the command again'],
  EDQUOT: ['your disk quota is used up', 'Free some space and run the command again'],
  EROFS: ['the file system is read-only', 'Set ROOTLING_HOME or --out-dir to a writable directory'],
  EACCES: ['permission is denied', 'Check who owns the directory: ls -ld'],
  EPERM: ['the operation is not permitted', 'Check who owns the directory: ls -ld'],
  EISDIR: ['it is a directory', 'Name a file'],
  ENOTDIR: ['a parent is not a directory', 'Check the path'],
  ENOENT: ['its directory does not exist', 'Create the directory first'],
  EIO: ['the disk answered with an error', 'Check the disk'],
}

/** Turns a file system error into a `state-unwritable` sentence; RootlingErrors pass through. */
export function unwritable(path: string, error: unknown): RootlingError {
  if (error instanceof RootlingError) return error
  const code = errorCode(error)
  const [, hint] = reasons[code] ?? []
  const sentence = `${path} could not be written${because(error)}.`
  return new RootlingError('state-unwritable', sentence, { hint, cause: error })
}

function because(error: unknown): string {
  const code = errorCode(error)
  return `: ${reasons[code]?.[0] ?? code}`
}

export function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes(errorCode(error))
}

function errorCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'unknown error'
}

function temporaryName(path: string): string {
  const unique = `${process.pid}-${randomBytes(6).toString('hex')}`
  return join(dirname(path), `.${basename(path)}${temporaryMark}${unique}`)
}

/** A word as a shell would need it, for hints that people paste. */
export function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`
}
