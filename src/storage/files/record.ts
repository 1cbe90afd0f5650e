import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { RootlingError } from '../../errors.ts'
import { unwritable } from '../../files/errors.ts'
import { linesOf, readPieces, readPiecesFromEnd } from '../../files/lines.ts'
import { sync } from '../../files/sync-fs.ts'
import { asOwner } from '../../files/as-owner.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { toEdit } from '../../shell-commands.ts'
import type { Revocation } from '../../x509/revocation.ts'
import type { CertificateRecord, Inventory } from '../records.ts'
import { currentLines, isUnfinished, linesOfFiles, parseLine, type Event } from './record-lines.ts'
import { quotedPath } from '../../shell-word.ts'

/**
 * In octets. The line of a certificate with the most and longest names that `issue` takes is far
 * shorter.
 */
const longestLine = 256 * 1024

/**
 * Returns the path of the record. Others use it only for stamps: the functions below alone read the
 * lines.
 */
export const recordPath = (state: StateDirectory): string => join(state.path, 'certificates.jsonl')

/**
 * Records certificates, which wait for the disk together. Call it under the lock. Without `durable`,
 * they are still on record after a kill of this process, but perhaps not after a power cut. That is
 * enough where the keys are only in the memory of this process.
 */
export async function recordIssued(
  state: StateDirectory,
  certificates: readonly CertificateRecord[],
  { durable = true }: { readonly durable?: boolean } = {},
): Promise<void> {
  const events = certificates.map((certificate) => ({ event: 'issued', ...certificate }))
  await append(state, events, durable)
}

/** Records a revocation. Call it under the lock. */
export async function recordRevoked(state: StateDirectory, revocation: Revocation): Promise<void> {
  await append(state, [{ event: 'revoked', ...revocation }])
}

/** Records the end of a hold. Call it under the lock. */
export async function recordReleased(
  state: StateDirectory,
  serialNumber: string,
  now: Date,
): Promise<void> {
  await append(state, [{ event: 'released', serialNumber, releasedAt: now.toISOString() }])
}

/**
 * Records that certificates, whose files are gone, are neither listed nor renewed any more. Call it
 * under the lock.
 */
export async function recordForgotten(
  state: StateDirectory,
  serialNumbers: readonly string[],
  now: Date,
): Promise<void> {
  const forgottenAt = now.toISOString()
  const event = 'forgotten'
  await append(
    state,
    serialNumbers.map((serialNumber) => ({ event, serialNumber, forgottenAt })),
  )
}

/** Appends a line for each event, so that the cost does not grow with the record. */
async function append(
  state: StateDirectory,
  events: readonly object[],
  durable = true,
): Promise<void> {
  if (events.length === 0) return
  const path = recordPath(state)
  try {
    const flags =
      constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | (constants.O_NOFOLLOW ?? 0)
    const file = asOwner(state.owner, () => openSync(path, flags, 0o600))
    try {
      if (state.owner !== null) fchownSync(file, state.owner.uid, state.owner.gid)
      const end = dropUnfinishedLine(file, path)
      const lines = events.map((event) => `${JSON.stringify(event)}\n`).join('')
      await appendOrUndo(file, lines, { end, durable })
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw unwritable(path, error)
  }
}

/**
 * Writes lines, and cuts off what was written where that fails: a full disk may take half a line,
 * and the record must stay whole.
 */
async function appendOrUndo(
  file: number,
  lines: string,
  { end, durable }: { readonly end: number; readonly durable: boolean },
): Promise<void> {
  try {
    writeFileSync(file, lines)
    if (durable) await sync(file)
  } catch (error) {
    try {
      ftruncateSync(file, end)
    } catch {
      // The next command that writes cuts off the unfinished line.
    }
    throw error
  }
}

/**
 * Cuts off an unfinished last line, left by a command that was killed; returns the file's length in
 * octets. Throws `corrupt-state` for any other text there, which a person may want to look at.
 */
function dropUnfinishedLine(file: number, path: string): number {
  const { size } = fstatSync(file)
  const last = Buffer.alloc(1)
  if (size === 0 || (readSync(file, last, 0, 1, size - 1) === 1 && last[0] === 0x0a)) return size
  const window = Buffer.alloc(Math.min(size, longestLine))
  readSync(file, window, 0, window.length, size - window.length)
  const newline = window.lastIndexOf(0x0a)
  if ((newline < 0 && size > window.length) || !isUnfinished(window.toString('utf8', newline + 1)))
    throw new RootlingError(
      'corrupt-state',
      `The record ${quotedPath(path)} is damaged at its end.`,
      {
        hint: `Restore it from a backup, or delete what is not a line: ${toEdit(path, 'tail -c 500')}`,
      },
    )
  const end = size - window.length + newline + 1
  if (end < size) ftruncateSync(file, end)
  return end
}

/** The certificates of `readInventory`, oldest first. */
export async function readRecord(state: StateDirectory): Promise<readonly CertificateRecord[]> {
  return (await readInventory(state)).certificates
}

export interface ReadingOptions {
  /**
   * Called with a sentence for each damaged line, which is then skipped. Without it, a damaged line
   * is an error: the line may have been a revocation.
   */
  readonly onDamage?: ((sentence: string) => void) | undefined
}

/**
 * Reads the whole record. An unfinished last line was never acknowledged, so it is skipped. Throws
 * `corrupt-state` for any other line that cannot be read, unless there is `onDamage`.
 */
export async function readInventory(
  state: StateDirectory,
  { onDamage }: ReadingOptions = {},
): Promise<Inventory> {
  const path = recordPath(state)
  const events: Event[] = []
  let count = 0
  const take = (line: string): void => {
    count++
    const event = parseLine(line)
    if (event !== null) events.push(event)
    else if (onDamage === undefined) throw damagedLine(path, count)
    else {
      const { message, hint } = damagedLine(path, count)
      onDamage(`${message} It was skipped. ${hint}`)
    }
  }
  for (const text of readPieces(path)) {
    const { lines, rest } = linesOf(text)
    for (const line of lines) take(line)
    if (!isUnfinished(rest)) take(rest)
  }
  return inventoryOf(events)
}

/**
 * Reads the record without the certificates whose file a later certificate has taken. Most lines of
 * an old record are of such certificates; they are recognised by their path alone and not parsed.
 * Without `printed`, the certificates that have no file are left out too. Throws what
 * `readInventory` throws.
 */
export async function readCurrentInventory(
  state: StateDirectory,
  { printed = true, onDamage }: ReadingOptions & { readonly printed?: boolean } = {},
): Promise<Inventory> {
  const taken = new Set<string>()
  const current: string[] = []
  for (const text of readPiecesFromEnd(recordPath(state))) {
    const unfinished = text.slice(text.lastIndexOf('\n') + 1)
    if (!isUnfinished(unfinished)) return readInventory(state, { onDamage })
    const whole = text.slice(0, text.length - unfinished.length)
    const lines = linesOfFiles(whole, taken) ?? currentLines(whole, taken, printed)
    for (const line of lines) current.push(line)
  }
  const events = current.toReversed().map(parseLine)
  // Reading the whole record finds out which line is damaged.
  return events.every((event) => event !== null)
    ? inventoryOf(events)
    : readInventory(state, { onDamage })
}

/** Returns the certificates and revocations after all events, which are given oldest first. */
function inventoryOf(events: readonly Event[]): Inventory {
  const certificates: CertificateRecord[] = []
  const revocations = new Map<string, Revocation>()
  const forgotten = new Set<string>()
  for (const event of events) {
    if (event.kind === 'issued') certificates.push(event.certificate)
    else if (event.kind === 'revoked')
      revocations.set(event.revocation.serialNumber, event.revocation)
    else if (event.kind === 'released') revocations.delete(event.serialNumber)
    else forgotten.add(event.serialNumber)
  }
  return { certificates, revocations, forgotten }
}

/** Returns the error for a line of the record that cannot be read; numbers begin at 1. */
export function damagedLine(path: string, number: number): RootlingError {
  const sentence = `Line ${number} of the record ${quotedPath(path)} is damaged.`
  return new RootlingError('corrupt-state', sentence, {
    hint: `Restore it from a backup, or delete that line: ${toEdit(path, `sed -i ${number}d`)}`,
  })
}
