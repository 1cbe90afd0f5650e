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
import {
  lastIndexIn,
  lineAt,
  linesOf,
  piecesFrom,
  readPieces,
  readPiecesFromEnd,
} from '../../files/lines.ts'
import { openNoFollow, sizeWithin, textOf } from '../../files/read.ts'
import { sync } from '../../files/sync-fs.ts'
import { asOwner } from '../../files/as-owner.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { toEdit } from '../../shell-commands.ts'
import type { Revocation } from '../../x509/revocation.ts'
import { bare, type CertificateRecord, type Inventory } from '../records.ts'
import type { Entry } from '../storage.ts'
import {
  currentLines,
  issued,
  isUnfinished,
  linesOfFiles,
  parseLine,
  type Event,
} from './record-lines.ts'
import { quotedPath, shellWord } from '../../shell-word.ts'

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
   * Called with one sentence about all damaged lines, which are skipped, and with the error that they
   * would be without it: a damaged line may have been a revocation.
   */
  readonly onDamage?: ((sentence: string, error: RootlingError) => void) | undefined
}

/**
 * Reads the whole record. An unfinished last line was never acknowledged, so it is skipped. Throws
 * `corrupt-state` for any other line that cannot be read, unless there is `onDamage`.
 */
export async function readInventory(
  state: StateDirectory,
  { onDamage }: ReadingOptions = {},
): Promise<Inventory> {
  return inventoryOf(readEvents(state, { onDamage }))
}

interface EventOptions extends ReadingOptions {
  /** Returns, for a piece of the record, which of its lines to parse; default: every one. */
  readonly chooseIn?: (piece: string) => (line: string) => boolean
  /** Called for each certificate that was parsed. */
  readonly found?: (certificate: CertificateRecord) => void
}

function readEvents(
  state: StateDirectory,
  { onDamage, chooseIn = () => () => true, found = () => undefined }: EventOptions,
): Event[] {
  const path = recordPath(state)
  const events: Event[] = []
  const damaged: number[] = []
  let count = 0
  const take = (line: string, isChosen: (line: string) => boolean): void => {
    count++
    if (!isChosen(line)) return
    const event = parseLine(line)
    if (event?.kind === 'issued') found(event.certificate)
    if (event === null) damaged.push(count)
    else events.push(event)
  }
  for (const text of readPieces(path)) {
    const { lines, rest } = linesOf(text)
    const isChosen = chooseIn(text)
    for (const line of lines) take(line, isChosen)
    if (!isUnfinished(rest)) take(rest, isChosen)
  }
  tellDamage(path, damaged, onDamage)
  return events
}

/** Beyond so many texts, parsing a line takes no longer than searching it for each. */
const mostTexts = 16

/** Returns a text as it is within the JSON of the record's lines. */
export const inJson = (text: string): string => JSON.stringify(text).slice(1, -1)

/**
 * Reads the certificates whose lines hold one of some texts (written as by `inJson`), the later ones
 * in the same files, and every revocation. It parses few lines: for a command that asks once about
 * few certificates; `certificatesOf` answers many questions. A damaged line is treated as by
 * `readInventory`, but that of a certificate without these texts is not noticed.
 */
export async function readInventoryOf(
  state: StateDirectory,
  texts: readonly string[],
  { onDamage }: ReadingOptions = {},
): Promise<Inventory> {
  const sought = [...texts]
  /** Those that the piece of the record holds which is read now. */
  let here: string[] = []
  const chooseIn = (piece: string) => {
    here = sought.filter((text) => piece.includes(text))
    return (line: string): boolean =>
      sought.length > mostTexts ||
      !line.startsWith(issued) ||
      here.some((text) => line.includes(text))
  }
  const found = ({ certPath }: CertificateRecord): void => {
    const file = `"certPath":${JSON.stringify(certPath)}`
    if (certPath === null || sought.includes(file)) return
    sought.push(file)
    here.push(file)
  }
  return inventoryOf(readEvents(state, { chooseIn, found, onDamage }))
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

/**
 * Finds the newest certificate that was written to a file, and skips lines that cannot be read;
 * `null`: there is none. It searches the record for the path and parses few lines: for a command
 * that asks once. `certificatesOf` answers many questions.
 */
export async function newestOfFile(state: StateDirectory, certPath: string): Promise<Entry | null> {
  const path = recordPath(state)
  const file = openNoFollow(path)
  if (file === null) return null
  try {
    const wanted = Buffer.from(`"certPath":${JSON.stringify(certPath)}`)
    for (let end = sizeWithin(path, file, Infinity); end > 0;) {
      const found = lastIndexIn(path, file, wanted, end)
      if (found < 0) return null
      end = lastIndexIn(path, file, newline, found) + 1
      const event = parseLine(lineAt(path, file, end))
      if (event?.kind === 'issued' && event.certificate.certPath === certPath)
        return eventsAfter(path, file, end, event.certificate)
    }
    return null
  } finally {
    closeSync(file)
  }
}

const newline = Buffer.from('\n')

/**
 * Finds the revocation of a certificate, and skips lines that cannot be read; `null`: it is not
 * revoked, its hold was released, or it is not on record. It searches the record from the end for
 * the serial number, back to where the certificate was issued, and parses few lines: for a program
 * that asks seldom. `certificatesOf` answers many questions.
 */
export async function revocationOf(
  state: StateDirectory,
  serialNumber: string,
): Promise<Revocation | null> {
  const path = recordPath(state)
  const file = openNoFollow(path)
  if (file === null) return null
  try {
    const serial = bare(serialNumber)
    const wanted = Buffer.from(`${serial}"`)
    for (let end = sizeWithin(path, file, Infinity); end > 0;) {
      const found = lastIndexIn(path, file, wanted, end)
      if (found < 0) return null
      end = lastIndexIn(path, file, newline, found) + 1
      const event = parseLine(lineAt(path, file, end))
      if (event === null || event.kind === 'forgotten' || bare(serialIn(event)) !== serial) continue
      return event.kind === 'revoked' ? event.revocation : null
    }
    return null
  } finally {
    closeSync(file)
  }
}

/** Returns the serial number of the certificate that an event happened to. */
function serialIn(event: Event): string {
  if (event.kind === 'issued') return event.certificate.serialNumber
  return event.kind === 'revoked' ? event.revocation.serialNumber : event.serialNumber
}

/** Returns a certificate with what the lines from `start` on say of it. */
function eventsAfter(
  path: string,
  file: number,
  start: number,
  certificate: CertificateRecord,
): Entry {
  const { serialNumber } = certificate
  const events: Event[] = []
  for (const piece of piecesFrom(path, file, { start, room: 1024 * 1024 }))
    if (piece.includes(serialNumber))
      for (const line of linesOf(textOf(piece)).lines) {
        const event = line.includes(serialNumber) ? parseLine(line) : null
        if (event !== null) events.push(event)
      }
  const { revocations, forgotten } = inventoryOf(events)
  return {
    certificate,
    revocation: revocations.get(serialNumber) ?? null,
    forgotten: forgotten.has(serialNumber),
  }
}

/** A certificate of `readNewestFirst`. */
export interface Listed extends Entry {
  /** Whether a later certificate has taken its file. */
  readonly replaced: boolean
  /** The members of the certificate's record as JSON, without the braces. */
  readonly members: string
}

/**
 * Yields the certificates on record, the newest first, in pages of some hundred: with `all` every
 * one, else those whose file no later one has taken. What it keeps in memory is a page, and the path
 * of each file. Calls `onDamage` with one sentence about the lines that cannot be read.
 */
export function* readNewestFirst(
  state: StateDirectory,
  { all, onDamage }: { readonly all: boolean; readonly onDamage: (sentence: string) => void },
): Generator<readonly Listed[]> {
  const path = recordPath(state)
  const taken = new Set<string>()
  const ends = createEnds()
  let isDamaged = false
  for (const text of readPiecesFromEnd(path)) {
    const unfinished = text.slice(text.lastIndexOf('\n') + 1)
    if (!isUnfinished(unfinished)) isDamaged = true
    const whole = text.slice(0, text.length - unfinished.length)
    const lines = all
      ? linesOf(whole).lines.toReversed()
      : (linesOfFiles(whole, taken) ?? currentLines(whole, taken, true))
    const page: Listed[] = []
    for (const line of lines) {
      const event = parseLine(line)
      if (event === null) isDamaged = true
      else if (event.kind !== 'issued') ends.add(event)
      else {
        const file = all && event.certificate.certPath
        const replaced = typeof file === 'string' && taken.has(file)
        if (typeof file === 'string') taken.add(file)
        page.push({
          ...ends.entryOf(event.certificate),
          replaced,
          members: line.slice(issued.length, -1),
        })
      }
    }
    if (page.length > 0) yield page
  }
  if (isDamaged) tellDamage(path, damagedIn(path), onDamage)
}

/** Collects events that are read backwards: the last that happened to a certificate comes first. */
function createEnds() {
  const revocations = new Map<string, Revocation | null>()
  const forgotten = new Set<string>()
  return {
    add(event: Exclude<Event, { readonly kind: 'issued' }>): void {
      if (event.kind === 'forgotten') return void forgotten.add(event.serialNumber)
      const revocation = event.kind === 'revoked' ? event.revocation : null
      const serialNumber = serialIn(event)
      if (!revocations.has(serialNumber)) revocations.set(serialNumber, revocation)
    },
    entryOf: (certificate: CertificateRecord): Entry => ({
      certificate,
      revocation: revocations.get(certificate.serialNumber) ?? null,
      forgotten: forgotten.has(certificate.serialNumber),
    }),
  }
}

/** Returns the numbers of the lines that cannot be read. */
function damagedIn(path: string): number[] {
  const damaged: number[] = []
  let count = 0
  for (const text of readPieces(path)) {
    const { lines, rest } = linesOf(text)
    for (const line of isUnfinished(rest) ? lines : [...lines, rest]) {
      count++
      if (parseLine(line) === null) damaged.push(count)
    }
  }
  return damaged
}

/**
 * Calls `onDamage` with one sentence about the damaged lines, if there are any. Throws
 * `corrupt-state` where there is no `onDamage`.
 */
export function tellDamage(
  path: string,
  numbers: readonly number[],
  onDamage: ReadingOptions['onDamage'],
): void {
  if (numbers.length === 0) return
  const error = damagedLines(path, numbers)
  if (onDamage === undefined) throw error
  const skipped = numbers.length === 1 ? 'It was skipped.' : 'They were skipped.'
  onDamage(`${error.message} ${skipped} ${error.hint}`, error)
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

/**
 * Returns the error for the lines of the record that cannot be read; numbers begin at 1. Its hint
 * deletes all of them by one command, since each deletion moves the lines after it.
 */
function damagedLines(path: string, numbers: readonly number[]): RootlingError {
  const ranges = rangesOf(numbers)
  const isOne = numbers.length === 1
  const record = `the record ${quotedPath(path)}`
  if (ranges.length > mostRanges)
    return new RootlingError(
      'corrupt-state',
      `${numbers.length} lines of ${record} are damaged, the first of them line ${numbers[0]}.`,
      { hint: 'Restore it from a backup.' },
    )
  const named = ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
  const deletions = ranges.map(([first, last]) =>
    first === last ? `${first}d` : `${first},${last}d`,
  )
  return new RootlingError(
    'corrupt-state',
    `${isOne ? 'Line' : 'Lines'} ${named.join(', ')} of ${record} ${isOne ? 'is' : 'are'} damaged.`,
    {
      hint: `Restore it from a backup, or delete ${isOne ? 'that line' : 'those lines'}: ${toEdit(path, `sed -i ${shellWord(deletions.join(';'))}`)}`,
    },
  )
}

/** Nobody reads more numbers, and a record with so much damage is better restored. */
const mostRanges = 10

/** Returns the first and the last of each run of consecutive numbers. */
function rangesOf(numbers: readonly number[]): [first: number, last: number][] {
  const ranges: [number, number][] = []
  for (const number of numbers) {
    const range = ranges.at(-1)
    if (range?.[1] === number - 1) range[1] = number
    else ranges.push([number, number])
  }
  return ranges
}
