import { closeSync, constants, openSync, readSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isatty } from 'node:tty'
import { RootlingError } from '../errors.ts'
import { readInputBytes, readingInput } from '../files/read-input.ts'
import { quotedPath } from '../shell-word.ts'
import { pemBlocks } from '../x509/pem.ts'

const limit = 1024 * 1024

/** Reads a file that the user named, at most 1 MiB, as text. Throws `file-unreadable`. */
export async function readInput(path: string): Promise<string> {
  return (await readInputBytes(path)).toString('utf8')
}

/**
 * Returns the first line of what `--password-file` names: a file, a pipe such as a shell makes for
 * `<(command)`, or standard input, by `-`. The line may be empty. Throws `file-unreadable`.
 */
export async function readFirstLine(word: string, cwd: string): Promise<string> {
  const path = resolve(cwd, word)
  if (!isPipe(word, path)) return firstLine(await readInput(path))
  // A pipe can be read once, and a command may need the password for several files.
  const read = pipes.get(path) ?? readingInput(path, () => readLineOfPipe(word, path))
  pipes.set(path, read)
  return read
}

const pipes = new Map<string, Promise<string>>()

const firstLine = (text: string): string => text.split(/\r?\n/)[0] ?? ''

/** Whether a later command can read what `--password-file` names again. */
export const staysReadable = (word: string, cwd: string): boolean =>
  !isPipe(word, resolve(cwd, word)) && !/^\/(?:dev|proc)\//.test(resolve(cwd, word))

function isPipe(word: string, path: string): boolean {
  if (word === '-') return true
  try {
    return statSync(path).isFIFO()
  } catch {
    // Reading it as a file says why it cannot be read.
    return false
  }
}

async function readLineOfPipe(word: string, path: string): Promise<string> {
  if (word !== '-') {
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      return await readLine(quotedPath(path), file)
    } finally {
      closeSync(file)
    }
  }
  if (!isatty(0)) return readLine('Standard input', 0)
  throw new RootlingError('usage', 'Standard input is a terminal, which would show the password.', {
    hint: 'Leave out --password-file to be asked, or pipe the password into the command',
  })
}

/** For so many milliseconds a pipe may have no program that writes to it. */
const longestWithoutWriter = 5000

/** Reads the first line of a pipe. Waits as long as a program has it open for writing. */
async function readLine(shown: string, file: number): Promise<string> {
  const bytes = Buffer.alloc(limit + 1)
  let held = 0
  const start = Date.now()
  while (held <= limit) {
    const read = readSome(file, bytes, held)
    held += read ?? 0
    const text = bytes.subarray(0, held)
    if (text.includes(0x0a) || (read === 0 && (held > 0 || file === 0)))
      return firstLine(text.toString('utf8'))
    // Nobody writes to it: the writer has not come yet, or is gone and has written nothing.
    if (read === 0 && Date.now() - start > longestWithoutWriter)
      throw new RootlingError('file-unreadable', `No program has written a password to ${shown}.`, {
        hint: 'Name a file, or pipe the password: --password-file -',
      })
    if (read === 0 || read === null) await sleep(20)
  }
  throw new RootlingError('file-unreadable', `${shown} has no line of at most ${limit} bytes.`, {
    hint: 'Its first line is the password',
  })
}

/** Returns how many octets were read; 0: the pipe is at its end; `null`: there are none yet. */
function readSome(file: number, bytes: Buffer, held: number): number | null {
  try {
    return readSync(file, bytes, held, bytes.length - held, null)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EAGAIN') return null
    // Windows reports the end of a pipe so.
    if (code === 'EOF') return 0
    throw error
  }
}

/**
 * Returns the certificates in a PEM file, each as PEM. Throws `bad-certificate` when there are
 * none.
 */
export async function readCertificates(path: string): Promise<string[]> {
  const blocks = pemBlocks(await readInput(path)).filter(({ label }) => label === 'CERTIFICATE')
  if (blocks.length === 0)
    throw new RootlingError(
      'bad-certificate',
      `${quotedPath(path)} holds no certificate in PEM form.`,
      {
        hint: 'openssl x509 -in FILE -inform DER -out root.pem',
      },
    )
  return blocks.map(({ text }) => text)
}
