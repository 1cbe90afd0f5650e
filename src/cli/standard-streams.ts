import { fstatSync, writeSync } from 'node:fs'
import { hasCode, unwritable } from '../files/errors.ts'

/** Standard output or standard error, as much of it as the commands need. */
export interface StandardStream {
  write(text: string): void
  readonly isTTY: boolean
}

/*
 * Written to in place for as long as that will do: to open a terminal or a pipe as a stream takes Node
 * four milliseconds of every command.
 */
export const standardOutput = inPlace(1)
export const standardError = inPlace(2)

let opened = false
let unprinted = false

/**
 * Ends the process with its exit code, 1 where standard output took less than all. On the spot where
 * nothing can be left to be written: otherwise V8 cleans up before it goes.
 */
export function endWith(code: number): void {
  process.exitCode = unprinted ? 1 : code
  if (!opened) process.exit()
}

/**
 * Opens both as streams, for what writes to them itself, and for servers, which a reader that stands
 * still must not stop. A full disk or a closed pipe behind them ends in no stack trace.
 */
export function openStreams(): void {
  if (opened) return
  opened = true
  process.stdout.on('error', (error) => lose(1, error))
  process.stderr.on('error', (error) => lose(2, error))
}

function inPlace(descriptor: 1 | 2): StandardStream {
  return {
    write(text) {
      // A console of Windows takes letters beyond ASCII only through its stream.
      if (process.platform === 'win32') openStreams()
      if (opened) streamOf(descriptor).write(text)
      else writeInPlace(descriptor, Buffer.from(text))
    },
    get isTTY() {
      // Whatever else it is, to know so loads less.
      return fstatSync(descriptor).isCharacterDevice() && streamOf(descriptor).isTTY
    },
  }
}

function writeInPlace(descriptor: 1 | 2, bytes: Buffer): void {
  let written = 0
  try {
    while (written < bytes.length) written += writeSync(descriptor, bytes, written)
  } catch (error) {
    if (!hasCode(error, 'EAGAIN')) return lose(descriptor, error)
    // Whoever shares the pipe made it so that it is not waited for.
    openStreams()
    streamOf(descriptor).write(bytes.subarray(written))
  }
}

const streamOf = (descriptor: 1 | 2): NodeJS.WriteStream =>
  descriptor === 1 ? process.stdout : process.stderr

function lose(descriptor: 1 | 2, error: unknown): void {
  // Of standard error there is nowhere left to say so; a reader that went away, such as `head`, has
  // what it wanted.
  if (descriptor === 2 || unprinted || hasCode(error, 'EPIPE')) return
  unprinted = true
  process.exitCode = 1
  standardError.write(`Error: ${unwritable('Standard output', error).message}\n`)
}
