import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs'
import { RootlingError } from '../errors.ts'
import { shellWord } from '../shell-word.ts'
import { pemBlocks } from '../x509/pem.ts'

const limit = 1024 * 1024

/** Reads a file that the user named, at most 1 MiB, as text. Throws `file-unreadable`. */
export async function readInput(path: string): Promise<string> {
  return (await readInputBytes(path)).toString('utf8')
}

/** Returns the first line of a file that holds a password. The line may be empty. */
export async function readFirstLine(path: string): Promise<string> {
  return (await readInput(path)).split(/\r?\n/)[0] ?? ''
}

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
  try {
    // The file is checked after it was opened, because another file may take its name. O_NONBLOCK
    // is there because opening a FIFO would wait.
    const file = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    try {
      return readBounded(path, file, most)
    } finally {
      closeSync(file)
    }
  } catch (error) {
    if (error instanceof RootlingError) throw error
    const absent = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    const orName = notNamed === null ? '' : `, and no ${notNamed} on record has that name`
    const sentence = absent ? `There is no file ${path}${orName}.` : `${path} cannot be read.`
    throw new RootlingError('file-unreadable', sentence, {
      hint: absent
        ? `Check the path${notNamed === null ? '' : ', or the names: rootling list'}`
        : `Check its permissions: ls -l ${shellWord(path)}`,
      cause: error,
    })
  }
}

function readBounded(path: string, file: number, most: number): Buffer {
  const info = fstatSync(file)
  if (!info.isFile()) throw new RootlingError('file-unreadable', `${path} is not a file.`)
  if (info.size > most)
    throw new RootlingError('file-unreadable', `${path} is larger than ${most} bytes.`)
  return readFileSync(file)
}

/**
 * Returns the certificates in a PEM file, each as PEM. Throws `bad-certificate` when there are
 * none.
 */
export async function readCertificates(path: string): Promise<string[]> {
  const blocks = pemBlocks(await readInput(path)).filter(({ label }) => label === 'CERTIFICATE')
  if (blocks.length === 0)
    throw new RootlingError('bad-certificate', `${path} holds no certificate in PEM form.`, {
      hint: 'openssl x509 -in FILE -inform DER -out root.pem',
    })
  return blocks.map(({ text }) => text)
}
