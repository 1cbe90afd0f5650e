import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { RootlingError, UnknownName } from '../errors.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import { readWithin } from './read-within.ts'

const limit = 1024 * 1024

interface ReadOptions {
  readonly most?: number
  readonly notNamed?: 'certificate' | 'client certificate' | null
}

/**
 * Reads the bytes of a file that the user named, of at most so many octets; default: 1 MiB.
 * `notNamed`: what was looked for on record by the same word, and not found. Throws
 * `file-unreadable`.
 */
export async function readInputBytes(
  path: string,
  { most = limit, notNamed = null }: ReadOptions = {},
): Promise<Buffer> {
  return readingInput(
    path,
    async () => {
      // The file is checked after it was opened, because another file may take its name. O_NONBLOCK
      // is there because opening a FIFO would wait.
      const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
      try {
        return readBounded(path, file, most)
      } finally {
        closeSync(file)
      }
    },
    notNamed,
  )
}

/** Runs `read`, and throws `file-unreadable` with a sentence about the file where it fails. */
export async function readingInput<T>(
  path: string,
  read: () => Promise<T>,
  notNamed: ReadOptions['notNamed'] = null,
): Promise<T> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof RootlingError) throw error
    const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    const orName = notNamed === null ? '' : `, and no ${notNamed} on record has that name`
    const sentence = absent
      ? `There is no file ${quotedPath(path)}${orName}.`
      : `${quotedPath(path)} cannot be read.`
    const Kind = absent && notNamed !== null ? UnknownName : RootlingError
    throw new Kind('file-unreadable', sentence, {
      hint: absent
        ? `Check the path${notNamed === null ? '' : ', or the names: rootling list'}`
        : `Check its permissions: ls -l ${shellWord(path)}`,
      cause: error,
    })
  }
}

function readBounded(path: string, file: number, most: number): Buffer {
  if (!fstatSync(file).isFile())
    throw new RootlingError('file-unreadable', `${quotedPath(path)} is not a file.`)
  const bytes = readWithin(file, most)
  if (bytes !== null) return bytes
  throw new RootlingError('file-unreadable', `${quotedPath(path)} is larger than ${most} bytes.`)
}
