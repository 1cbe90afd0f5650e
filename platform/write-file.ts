import { chmod, chown, lstat, mkdir, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { RootlingError } from '../src/errors.ts'
import { isMountPoint, isTaken } from './file-status.ts'
import { isTrustedProgram } from './programs.ts'
import { quotedPath } from '../src/shell-word.ts'

/**
 * Writes a whole file that every user can read (mode 0644): under a temporary name, then renamed.
 * Creates the parent directories. Throws `store-failed`.
 */
export async function writeReadableFile(file: string, contents: string): Promise<void> {
  await makeReadableDirectory(path.dirname(file)).catch((error: unknown) => {
    throw unwritable(file, error)
  })
  await writeFileOf(file, contents, { mode: 0o644 })
}

/** A file's owner, group and mode; without an owner, the file belongs to this process's user. */
interface Ownership {
  readonly mode: number
  readonly uid?: number
  readonly gid?: number
}

/** Writes a whole file with this mode and owner, as `writeReadableFile` does. */
export async function writeFileOf(
  file: string,
  contents: string | Uint8Array,
  { mode, uid, gid }: Ownership,
): Promise<void> {
  const temporary = `${file}.rootling-${process.pid}`
  try {
    await writeFile(temporary, contents, { mode: mode & 0o600, flag: 'wx' })
    if (uid !== undefined && gid !== undefined) await chown(temporary, uid, gid)
    // The umask may have taken bits away, and chown takes setuid away.
    await chmod(temporary, mode)
    await rename(temporary, file)
  } catch (error) {
    await rm(temporary, { force: true })
    throw unwritable(file, error)
  }
}

function unwritable(file: string, error: unknown): RootlingError {
  const sentence = `${quotedPath(file)} cannot be written${becauseOf(error)}.`
  return new RootlingError('store-failed', sentence, { cause: error })
}

/**
 * Returns where a path leads, and the owner and mode of the file there. Throws `store-failed` when
 * the file cannot be replaced: a link leads nowhere or to where other users could put another link
 * while root writes, or something is mounted on the file and `mounted` does not allow that.
 */
export async function findReplaceable(
  file: string,
  as: 'root' | 'person',
  { mounted = 'refused' }: { readonly mounted?: 'refused' | 'allowed' } = {},
): Promise<{ path: string; owner: Required<Ownership> }> {
  const target = await realpath(file).catch(() => null)
  if (target === null) throw refusal(file, 'is a symbolic link that leads nowhere', 'Remove it')
  const by = `Change ${target} by hand`
  const isLink = (await lstat(file)).isSymbolicLink()
  if (isLink && as === 'root' && !(await isTrustedProgram(path.dirname(target))))
    throw refusal(
      file,
      `is a symbolic link to ${target}, which other users than root can change`,
      by,
    )
  if (mounted === 'refused' && (await isMountPoint(target)))
    throw refusal(file, 'is mounted from elsewhere, so it is changed only there', by)
  const { uid, gid, mode } = await stat(target)
  return { path: target, owner: { uid, gid, mode: mode & 0o7777 } }
}

/** Returns a mode as chmod takes it, such as `0644`. */
export const octal = (mode: number): string => mode.toString(8).padStart(4, '0')

function refusal(file: string, why: string, hint: string): RootlingError {
  return new RootlingError('store-failed', `${quotedPath(file)} ${why}.`, { hint })
}

/** Returns the reason of an error of the file system as the end of a sentence, where it helps. */
export function becauseOf(error: unknown): string {
  const isReadOnly = error instanceof Error && 'code' in error && error.code === 'EROFS'
  return isReadOnly ? ', because it is on a read-only file system' : ''
}

async function makeReadableDirectory(directory: string): Promise<void> {
  if (await isTaken(directory)) return
  await makeReadableDirectory(path.dirname(directory))
  await mkdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await chmod(directory, 0o755)
}
