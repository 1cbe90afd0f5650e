import {
  appendFileSync,
  closeSync,
  constants,
  fstatSync,
  openSync,
  readSync,
  renameSync,
  statSync,
} from 'node:fs'
import { join } from 'node:path'
import { RootlingError } from '../errors.ts'
import { hasCode } from '../files/errors.ts'
import { readText } from '../files/read.ts'
import { leadsTo } from '../files/same-file.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { printable } from '../printable.ts'
import { toList } from '../shell-commands.ts'
import { quotedPath } from '../shell-word.ts'

export const logPath = (state: StateDirectory): string => join(state.path, 'daemon.log')

/**
 * The most octets of the log. A larger file is renamed to `daemon.log.1`, which replaces the
 * earlier one.
 */
const largestLog = 1024 * 1024
/** The most characters of an entry: an `--on-renew` command may print much. */
const longestEntry = 8 * 1024

/**
 * Creates a function that writes entries to the daemon's log, with mode 0600. Each entry is one
 * line with the time, written at once, so that a crash loses none. Unprintable characters become
 * spaces: text from outside cannot begin a line or move the cursor.
 */
export function createLog(
  state: StateDirectory,
  now: () => Date,
  limit = largestLog,
): (line: string) => void {
  const path = logPath(state)
  return (line) => {
    const text = printable(line.slice(0, longestEntry), ' ')
    try {
      const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0
      if (size > limit) renameSync(path, `${path}.1`)
      appendFileSync(path, `${now().toISOString()} ${text}\n`, { mode: 0o600 })
    } catch {
      // A full disk or a deleted directory must not end the daemon.
    }
  }
}

/** Reads the log as it grows, even when the file is rotated or truncated. */
export interface LogTail {
  /** Returns the whole lines since the last call; the first call returns all lines of the file. */
  read(): string[]
  close(): void
}

export function openTail(path: string): LogTail {
  let file: number | null = null
  let offset = 0
  let pending = Buffer.alloc(0)

  function drain(): string[] {
    if (file === null) return []
    if (fstatSync(file).size < offset) [offset, pending] = [0, Buffer.alloc(0)]
    const chunk = Buffer.alloc(64 * 1024)
    const lines: string[] = []
    for (let read = 1; read > 0; offset += read) {
      read = readSync(file, chunk, 0, chunk.length, offset)
      const bytes = Buffer.concat([pending, chunk.subarray(0, read)])
      const end = bytes.lastIndexOf('\n') + 1
      for (const line of bytes.toString('utf8', 0, end).split('\n').slice(0, -1)) lines.push(line)
      // Entries are shorter than a chunk. A longer line is no entry of the log, and keeping its end
      // is enough.
      pending = bytes.subarray(Math.max(end, bytes.length - chunk.length))
    }
    return lines
  }

  function close(): void {
    if (file !== null) closeSync(file)
    file = null
  }

  return {
    read() {
      const lines = drain()
      if (isStill(file, path)) return lines
      // Reads the rest of the old file first: something may have been added to it before it was
      // renamed.
      lines.push(...drain())
      close()
      ;[file, offset, pending] = [openForReading(path), 0, Buffer.alloc(0)]
      return [...lines, ...drain()]
    },
    close,
  }
}

function isStill(file: number | null, path: string): boolean {
  if (statSync(path, { throwIfNoEntry: false }) === undefined) return true
  return file !== null && leadsTo(path, file)
}

/** Opens the log; `null` when it is absent. Throws `file-unreadable`. */
function openForReading(path: string): number | null {
  let file: number
  try {
    // O_NONBLOCK: a planted FIFO must not block.
    const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
    file = openSync(path, flags)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null
    throw unreadable(path, error)
  }
  if (fstatSync(file).isFile()) return file
  closeSync(file)
  throw unreadable(path)
}

const unreadable = (path: string, cause?: unknown): RootlingError =>
  new RootlingError(
    'file-unreadable',
    `The log ${quotedPath(path)} is not a file that can be read.`,
    {
      hint: toList(path, '-l'),
      cause,
    },
  )

/** Returns the lines of the file before the last rotation, the oldest first. */
export async function olderLines(state: StateDirectory): Promise<string[]> {
  const text = await readText(`${logPath(state)}.1`, 2 * largestLog)
  return (text ?? '').split('\n').slice(0, -1)
}
