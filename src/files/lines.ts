import { closeSync, readSync } from 'node:fs'
import { RootlingError } from '../errors.ts'
import { toEdit } from '../shell-commands.ts'
import { unreadable } from './errors.ts'
import { openNoFollow, sizeWithin, textOf } from './read.ts'
import { quotedPath } from '../shell-word.ts'

/** In octets. Small enough for V8's young generation. */
const pieceLength = 96 * 1024

/** In octets. The lines of all files that are read here are far shorter. */
const longestLine = 16 * 1024 * 1024

/**
 * Splits a piece of text into its lines and what follows the last newline: an unfinished line, or
 * nothing.
 */
export function linesOf(piece: string): { readonly lines: string[]; readonly rest: string } {
  const lines = piece.split('\n')
  const rest = lines.pop() ?? ''
  return { lines, rest }
}

function refuseLongLine(path: string, length: number): void {
  if (length > longestLine)
    throw new RootlingError(
      'file-unreadable',
      `${quotedPath(path)} holds a line of more than 16 MiB.`,
      {
        hint: `Restore it from a backup, or see how its lines begin: ${toEdit(path, 'cut -c 1-80')}`,
      },
    )
}

/**
 * Yields a file's text in pieces of about 100 kilobytes. Each piece holds whole lines, except perhaps
 * the last. An absent file has no pieces. Throws `file-unreadable`, also for a symbolic link.
 */
export function* readPieces(path: string): Generator<string> {
  const file = openNoFollow(path)
  if (file === null) return
  try {
    const room = Math.min(sizeWithin(path, file, Infinity) + 1, pieceLength)
    for (const piece of piecesFrom(path, file, { start: 0, room })) yield textOf(piece)
  } finally {
    closeSync(file)
  }
}

/**
 * Yields the octets of an open file from `start` on, in pieces of about `room` octets. Each piece
 * holds whole lines, except perhaps the last, and is valid until the next is asked for. Throws
 * `file-unreadable`.
 */
export function* piecesFrom(
  path: string,
  file: number,
  { start, room }: { readonly start: number; readonly room: number },
): Generator<Buffer> {
  let bytes: Buffer = Buffer.allocUnsafe(room)
  let held = 0
  let position = start
  for (;;) {
    refuseLongLine(path, held)
    if (held === bytes.length) bytes = Buffer.concat([bytes], 2 * held)
    const read = readInto(path, file, bytes, held, position)
    if (read === 0) break
    position += read
    const cut = bytes.lastIndexOf(0x0a, held + read - 1) + 1
    if (cut > 0) yield bytes.subarray(0, cut)
    bytes.copyWithin(0, cut, held + read)
    held += read - cut
  }
  if (held > 0) yield bytes.subarray(0, held)
}

/**
 * Returns the line of an open file that begins at an octet, without its newline. Throws
 * `file-unreadable`.
 */
export function lineAt(path: string, file: number, start: number): string {
  let bytes: Buffer = Buffer.allocUnsafe(2048)
  let held = 0
  for (;;) {
    refuseLongLine(path, held)
    const read = readInto(path, file, bytes, held, start + held)
    const end = bytes.subarray(0, held + read).indexOf(0x0a, held)
    if (end >= 0 || read === 0) return textOf(bytes.subarray(0, end < 0 ? held : end))
    held += read
    if (held === bytes.length) bytes = Buffer.concat([bytes], 4 * held)
  }
}

/**
 * Yields a file's text from the end to the beginning, in pieces of about 100 kilobytes. Each piece
 * holds whole lines; the first may have an unfinished line after its last newline. Otherwise it
 * acts as `readPieces` does.
 */
export function* readPiecesFromEnd(path: string): Generator<string> {
  const file = openNoFollow(path)
  if (file === null) return
  try {
    let left = sizeWithin(path, file, Infinity)
    let bytes: Buffer = Buffer.allocUnsafe(Math.min(left, 2 * pieceLength))
    // The end of a line whose beginning is not read yet.
    let rest: Buffer = Buffer.alloc(0)
    while (left > 0) {
      refuseLongLine(path, rest.length)
      // A read is as long as what is held of a line, so that a long line is not copied again for
      // each of its pieces.
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

/**
 * Returns where some octets are last in an open file before `end`; -1: nowhere. Throws
 * `file-unreadable`.
 */
export function lastIndexIn(path: string, file: number, wanted: Buffer, end: number): number {
  const window = Math.min(end, 1024 * 1024)
  const bytes = Buffer.allocUnsafe(window + wanted.length)
  for (let right = end; right > 0;) {
    const left = Math.max(0, right - window)
    // What is wanted may begin before `right` and end behind it.
    const length = Math.min(end, right + wanted.length - 1) - left
    const read = readInto(path, file, bytes.subarray(0, length), 0, left)
    const found = bytes.subarray(0, read).lastIndexOf(wanted)
    if (found >= 0) return left + found
    right = left
  }
  return -1
}

/** Reads into `bytes` from `at` on and returns the number of octets. */
function readInto(path: string, file: number, bytes: Buffer, at: number, position: number): number {
  try {
    return readSync(file, bytes, at, bytes.length - at, position)
  } catch (error) {
    throw unreadable(path, error)
  }
}
