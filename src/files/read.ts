import { isAscii } from 'node:buffer'
import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'
import { RootlingError } from '../errors.ts'
import { toEdit, toList } from '../shell-commands.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import { asOwner } from './as-owner.ts'
import { because, hasCode, hintFor, unreadable } from './errors.ts'
import type { Owner } from './owner.ts'

/**
 * Reads a whole file as text; `null`: the file is absent. Throws `file-unreadable`, also for a
 * symbolic link, for more than `limit` octets, and for anything but a regular file.
 */
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
 * Reads a private key's file as text; `null`: the file is absent. Throws `loose-key` when others
 * can read the file or another user owns it. The hint is the command that fixes this, since it is
 * never fixed silently. `mode` is the mode that the file was given, if others were to read it.
 */
export async function readPrivateText(
  path: string,
  owner: Owner | null,
  mode = 0o600,
): Promise<string | null> {
  const file = asOwner(owner, () => openNoFollow(path))
  if (file === null) return null
  try {
    refuseLoose(path, statRegular(path, file), owner, mode)
    return readBounded(path, file, 1024 * 1024)
  } finally {
    closeSync(file)
  }
}

/**
 * Reads the certificate of a root that this user is about to trust or to sign with; `null`: the
 * file is absent. Throws `loose-key` when others can write to the file or another user, except
 * root, owns it.
 */
export const readOwnCertificate = async (
  path: string,
  owner: Owner | null,
): Promise<Buffer | null> => readOwn('root', path, owner)

/**
 * Reads a file with a password that is about to protect a key; `null`: the file is absent. Throws
 * `loose-key` as `readOwnCertificate` does: who writes the password can open what it protects.
 */
export async function readOwnPassword(path: string, owner: Owner | null): Promise<string | null> {
  const bytes = await readOwn('password file', path, owner)
  return bytes === null ? null : textOf(bytes)
}

async function readOwn(what: string, path: string, owner: Owner | null): Promise<Buffer | null> {
  const file = openNoFollow(path)
  if (file === null) return null
  try {
    refuseOtherWriters(what, path, file, owner)
    return readBytes(path, file, 1024 * 1024)
  } finally {
    closeSync(file)
  }
}

/**
 * Throws `loose-key` when others can write to an open file or another user, except root, owns it.
 * `what` is the file in words.
 */
export function refuseOtherWriters(
  what: string,
  path: string,
  file: number,
  owner: Owner | null,
): void {
  const stats = statRegular(path, file)
  // A file of root's is fine, since only root can have made it.
  if (stats.uid !== 0) refuseForeignOwner(`The ${what} ${path}`, path, stats, owner)
  if (process.platform !== 'win32' && (stats.mode & 0o022) !== 0)
    throw new RootlingError(
      'loose-key',
      `Others can write to the ${what} ${quotedPath(path)}${modeOf(stats)}.`,
      { hint: `chmod ${what === 'root' ? '644' : 'go-w'} ${shellWord(path)}` },
    )
}

function refuseLoose(path: string, stats: Stats, owner: Owner | null, mode: number): void {
  refuseForeignOwner(`The private key ${path}`, path, stats, owner)
  if (process.platform !== 'win32' && (stats.mode & 0o077 & ~mode) !== 0)
    throw new RootlingError(
      'loose-key',
      `Others can read the private key ${quotedPath(path)}${modeOf(stats)}.`,
      { hint: `chmod ${mode.toString(8)} ${shellWord(path)}` },
    )
}

function refuseForeignOwner(what: string, path: string, { uid }: Stats, owner: Owner | null): void {
  if (process.platform === 'win32') return
  const mine = process.geteuid?.()
  if (uid !== mine && uid !== owner?.uid)
    throw new RootlingError('loose-key', `${what} belongs to another user.`, {
      hint: `sudo chown ${owner?.uid ?? mine} ${shellWord(path)}`,
    })
}

const modeOf = ({ mode }: Stats): string => ` (mode ${(mode & 0o777).toString(8).padStart(4, '0')})`

/**
 * Opens a file for reading and returns its descriptor; `null`: the file is absent. Throws
 * `file-unreadable`, also for a symbolic link.
 */
export function openNoFollow(path: string): number | null {
  try {
    // O_NONBLOCK: otherwise opening a FIFO would wait for ever.
    const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
    return openSync(path, flags)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null
    if (hasCode(error, 'ELOOP'))
      throw new RootlingError('file-unreadable', `${quotedPath(path)} is a symbolic link.`, {
        hint: 'Put the file itself in its place: links are not followed here',
        cause: error,
      })
    throw new RootlingError(
      'file-unreadable',
      `${quotedPath(path)} cannot be read${because(error)}.`,
      {
        hint: hintFor(path, error),
        cause: error,
      },
    )
  }
}

/**
 * Returns what `fstat` says of an open file. Throws `file-unreadable` for anything but a regular
 * file.
 */
function statRegular(path: string, file: number): Stats {
  const stats = fstatSync(file)
  if (stats.isFile()) return stats
  throw new RootlingError('file-unreadable', `${quotedPath(path)} is not a regular file.`, {
    hint: `See what it is: ${toList(path)}`,
  })
}

const readBounded = (path: string, file: number, limit: number): string =>
  textOf(readBytes(path, file, limit))

function readBytes(path: string, file: number, limit: number): Buffer {
  sizeWithin(path, file, limit)
  try {
    return readFileSync(file)
  } catch (error) {
    throw unreadable(path, error)
  }
}

/**
 * Returns the size of an open file in octets. Throws `file-unreadable` for more than `limit`
 * octets, and for anything but a regular file.
 */
export function sizeWithin(path: string, file: number, limit: number): number {
  const { size } = statRegular(path, file)
  if (size <= limit) return size
  throw new RootlingError('file-unreadable', `${quotedPath(path)} is larger than ${limit} bytes.`, {
    hint: `See what it is: ${toEdit(path, 'head -c 200')}`,
  })
}

/** Decodes UTF-8 in half the time of readFileSync(file, 'utf8') on Node 20. */
export const textOf = (bytes: Buffer): string => bytes.toString(isAscii(bytes) ? 'latin1' : 'utf8')
