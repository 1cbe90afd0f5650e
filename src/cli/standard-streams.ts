import { fstatSync, writeSync } from 'node:fs'
import { hasCode, because } from '../files/errors.ts'

/** The part of standard output or standard error that the commands need. */
export interface StandardStream {
  write(contents: string | Buffer): void
  readonly isTTY: boolean
  /** The letters in a line of the terminal; 80 where it is none. */
  readonly columns: number
}

/*
 * Both are written synchronously until streams are needed: opening a terminal or a pipe as a stream
 * costs every command four milliseconds.
 */
export const standardOutput = inPlace(1)
export const standardError = inPlace(2)

let opened = false
let unprinted = false

/**
 * Ends the process with this exit code, or with 1 when standard output did not take everything.
 * When no stream was opened, everything has been written, and the process exits at once: a natural
 * end lets V8 clean up first, which takes time.
 */
export function endWith(code: number): void {
  process.exitCode = unprinted ? 1 : code
  if (!opened) process.exit()
}

/**
 * Ends the process by a signal, as the program did that it ran: a shell stops a loop only when it
 * sees that. With signals that leave a core dump, which would be one of this process, it ends with
 * the exit code that shells have for them.
 */
export function endBy(signal: NodeJS.Signals): void {
  if (['SIGHUP', 'SIGINT', 'SIGKILL', 'SIGTERM'].includes(signal)) process.kill(process.pid, signal)
  // The signal may be ignored, as SIGHUP is under nohup, or take a moment to arrive.
  setTimeout(() => {
    void import('node:os').then(({ constants }) => endWith(128 + constants.signals[signal]))
  }, 200)
}

/**
 * Opens standard output and standard error as streams: for code that writes to them itself, and for
 * servers, which must not block when a reader stops reading. A full disk or a closed pipe then
 * causes no stack trace.
 */
export function openStreams(): void {
  if (opened) return
  opened = true
  process.stdout.on('error', (error) => lose(1, error))
  process.stderr.on('error', (error) => lose(2, error))
}

function inPlace(descriptor: 1 | 2): StandardStream {
  return {
    write(contents) {
      // A Windows console takes letters beyond ASCII only through its stream.
      if (process.platform === 'win32') openStreams()
      if (opened) streamOf(descriptor).write(contents)
      else writeInPlace(descriptor, Buffer.from(contents))
    },
    get isTTY() {
      return isTerminal(descriptor)
    },
    get columns() {
      return (this.isTTY && streamOf(descriptor).columns) || 80
    },
  }
}

function writeInPlace(descriptor: 1 | 2, bytes: Buffer): void {
  let written = 0
  try {
    while (written < bytes.length) written += writeSync(descriptor, bytes, written)
  } catch (error) {
    if (!hasCode(error, 'EAGAIN')) return lose(descriptor, error)
    // EAGAIN means that another process that shares the pipe made it non-blocking.
    openStreams()
    streamOf(descriptor).write(bytes.subarray(written))
  }
}

/**
 * Whether a standard stream is a terminal. Only a character device can be one, and fstat loads less
 * than the stream.
 */
export const isTerminal = (descriptor: 0 | 1 | 2): boolean =>
  isCharacterDevice(descriptor) && streamOf(descriptor).isTTY

/** Whether a descriptor is a character device; one that is closed, or is none of Windows', is not. */
function isCharacterDevice(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isCharacterDevice()
  } catch {
    return false
  }
}

function streamOf(descriptor: 1 | 2): NodeJS.WriteStream
function streamOf(descriptor: 0 | 1 | 2): NodeJS.WriteStream | NodeJS.ReadStream
function streamOf(descriptor: 0 | 1 | 2): NodeJS.WriteStream | NodeJS.ReadStream {
  if (descriptor === 0) return process.stdin
  return descriptor === 1 ? process.stdout : process.stderr
}

function lose(descriptor: 1 | 2, error: unknown): void {
  // A failure of standard error cannot be reported. A reader that closed the pipe, such as `head`,
  // has read what it wanted.
  if (descriptor === 2 || unprinted || hasCode(error, 'EPIPE')) return
  unprinted = true
  process.exitCode = 1
  standardError.write(`Error: Standard output could not be written${because(error)}.\n`)
}
