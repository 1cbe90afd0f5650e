import { asOwner } from './as-owner.ts'
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { RootlingError } from '../errors.ts'
import { toDeleteLines } from '../shell-commands.ts'
import { stageFile, sweepLeftovers } from './atomic.ts'
import { unwritable } from './errors.ts'
import { linesOf, readPieces } from './lines.ts'
import type { Directory } from './owner.ts'
import { makePrivateDirectory } from './private-directory.ts'
import { quotedPath } from '../shell-word.ts'

/**
 * A file of lines that is only appended to. Lines that are added while others are written go
 * together in the next write. Writes are not synced: lines survive a kill of this process, but not
 * a power cut. The ACME server keeps its state in such a file and can bear that: a client repeats
 * an order that is lost. Writes are synchronous: copying into the page cache takes a tenth of the
 * time of a write in a thread.
 */
export interface Journal {
  /** Takes a line, without the newline; `saved` resolves when it is written. */
  add(line: string): void
  /**
   * Resolves when all lines taken so far are written. Throws `state-unwritable`; the lines are kept
   * for the next call.
   */
  saved(): Promise<void>
  /** The number of lines in the file. */
  readonly length: number
  close(): Promise<void>
}

export interface JournalOptions {
  readonly path: string
  readonly state: Directory
  /**
   * Returns lines that hold all that is known now. They replace the lines of a file that has grown
   * long.
   */
  readonly snapshot: () => Iterable<string>
  /** Returns the number of lines beyond which a snapshot is worthwhile. */
  readonly longest: () => number
  /** Returns the number of octets beyond which a snapshot is worthwhile; default: any number is not. */
  readonly largest?: (() => number) | undefined
}

/** Yields the lines of a journal, except an unfinished last one, which was never acknowledged. */
export function* readJournal(path: string): Generator<string> {
  for (const piece of readPieces(path)) yield* linesOf(piece).lines
}

/** A `corrupt-state` error for a line that is not what it should be; numbers begin at 1. */
export function damagedLine(path: string, number: number, cause?: unknown): RootlingError {
  return new RootlingError('corrupt-state', `Line ${number} of ${quotedPath(path)} is damaged.`, {
    hint: `Restore it from a backup, or delete that line: ${toDeleteLines(path, `${number}d`)}`,
    cause,
  })
}

/** Opens a journal for writing, beginning with a snapshot. Throws `state-unwritable`. */
export async function openJournal(options: JournalOptions): Promise<Journal> {
  const { path, state, snapshot, longest, largest = () => Infinity } = options
  await makePrivateDirectory(dirname(path), state.owner)
  await sweepLeftovers(dirname(path), basename(path))
  let queue: string[] = []
  let rewriting: Promise<void> | null = null
  let { size, length } = await rewrite(path, state, snapshot())
  let descriptor: number | null = null

  const release = (): void => {
    if (descriptor !== null) closeSync(descriptor)
    descriptor = null
  }
  const appendQueue = (): void => {
    const flags = constants.O_WRONLY | (constants.O_NOFOLLOW ?? 0)
    descriptor ??= asOwner(state.owner, () => openSync(path, flags))
    const data = Buffer.from(`${queue.join('\n')}\n`)
    append(descriptor, data, size)
    size += data.length
    length += queue.length
    queue = []
  }
  /**
   * Replaces the file by a snapshot. It holds what the queued lines say, and what has come since.
   */
  const rewriteAll = async (): Promise<void> => {
    const lines = queue
    queue = []
    try {
      // Windows renames no file over one that is open.
      ;({ size, length } = await rewrite(path, state, snapshot(), release))
    } catch (error) {
      queue = [...lines, ...queue]
      throw error
    }
  }
  const saved = async (): Promise<void> => {
    try {
      while (queue.length > 0 || rewriting !== null)
        if (rewriting === null && length + queue.length <= longest() && size <= largest())
          appendQueue()
        else await (rewriting ??= rewriteAll().finally(() => (rewriting = null)))
    } catch (error) {
      throw unwritable(path, error)
    }
  }
  return {
    add: (line) => void queue.push(line),
    saved,
    get length() {
      return length
    },
    async close() {
      await saved()
      release()
    },
  }
}

/**
 * Writes at a given position, the end of the whole lines, so that half a line that a full disk took
 * is written over.
 */
function append(descriptor: number, data: Buffer, size: number): void {
  for (let done = 0; done < data.length;)
    done += writeSync(descriptor, data, done, data.length - done, size + done)
}

/** Replaces the file by these lines; `release` is called before the file that is there is replaced. */
async function rewrite(
  path: string,
  state: Directory,
  lines: Iterable<string>,
  release = (): void => undefined,
): Promise<{ size: number; length: number }> {
  let [size, length] = [0, 0]
  /**
   * Yields the lines in pieces: one text would take several times the memory of all that is known.
   */
  function* pieces(): Generator<string> {
    let piece = ''
    for (const line of lines) {
      piece += `${line}\n`
      size += Buffer.byteLength(line) + 1
      length++
      if (piece.length < 65_536) continue
      yield piece
      piece = ''
    }
    yield piece
  }
  const staged = await stageFile(path, { data: pieces(), mode: 0o600 }, state.owner)
  release()
  await staged.commit()
  return { size, length }
}
