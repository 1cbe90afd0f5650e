import { existsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { RootlingError } from '../errors.ts'
import { quotedPath, shellWord } from '../shell-word.ts'

/** A `file-unreadable` error that says why. */
export function unreadable(path: string, error: unknown): RootlingError {
  return new RootlingError(
    'file-unreadable',
    `${quotedPath(path)} cannot be read${because(error)}.`,
    {
      cause: error,
    },
  )
}

/** By the system's error code: why a file cannot be read or written, and what to do. */
const reasons: Readonly<
  Record<string, readonly [reason: string, hint: string | ((path: string) => string)]>
> = {
  ENOSPC: ['the disk is full', 'Free some space and run the command again'],
  EDQUOT: ['your disk quota is used up', 'Free some space and run the command again'],
  EROFS: ['the file system is read-only', 'Choose a directory on another file system'],
  EACCES: ['permission is denied', checkOwner],
  EPERM: ['the operation is not permitted', checkOwner],
  EBUSY: ['another program uses it', 'End the programs that have it open'],
  EISDIR: ['it is a directory', 'Name a file'],
  ENOTDIR: ['a parent is not a directory', 'Check the path'],
  ENOENT: ['its directory does not exist', 'Create the directory first'],
  EIO: ['the disk answered with an error', 'Check the disk'],
}

/** A `state-unwritable` error that says why; a RootlingError is returned as it is. */
export function unwritable(path: string, error: unknown): RootlingError {
  if (error instanceof RootlingError) return error
  const sentence = `${quotedPath(path)} could not be written${because(error)}.`
  const hint = hintFor(path, error)
  return new RootlingError('state-unwritable', sentence, { hint, cause: error })
}

/** What to do about a file system error at a path; `undefined`: nothing is known to help. */
export function hintFor(
  path: string,
  error: unknown,
  system: NodeJS.Platform = process.platform,
): string | undefined {
  const code = errorCode(error)
  if (system === 'win32' && ['EACCES', 'EPERM', 'EBUSY'].includes(code))
    return 'End programs that have it open, and see who may write there: its properties, Security'
  const hint = reasons[code]?.[1]
  return typeof hint === 'function' ? hint(path) : hint
}

/** Names the nearest directory above a path that exists, which is the one that refuses. */
function checkOwner(path: string): string {
  let directory = dirname(resolve(path))
  while (!existsSync(directory) && directory !== dirname(directory)) directory = dirname(directory)
  return `Choose another directory, or check who owns this one: ls -ld ${shellWord(directory)}`
}

/** The end of a sentence: `: the disk is full`, or the system's error code. */
export function because(error: unknown): string {
  const code = errorCode(error)
  return `: ${reasons[code]?.[0] ?? code}`
}

/** Whether an error is a system error with one of these codes. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes(errorCode(error))
}

function errorCode(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? code : 'unknown error'
}
