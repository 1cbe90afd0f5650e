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
import { openNoFollow, refuseOtherWriters, sizeWithin, textOf } from '../../files/read.ts'
import { sync } from '../../files/sync-fs.ts'
import { asOwner } from '../../files/as-owner.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { toDeleteLines, toEdit } from '../../shell-commands.ts'
import type { Revocation } from '../../x509/revocation.ts'
import { bare, type CertificateRecord, type Inventory } from '../records.ts'
import type { Entry } from '../storage.ts'
import {
  currentLines,
  issued,
  isUnfinished,
  linesIn,
  linesOfFiles,
  parseLine,
  serialIn,
  type Event,
} from './record-lines.ts'
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
      const { end, missing } = endLastLine(file, path)
      const lines = events.map((event) => `${JSON.stringify(event)}\n`).join('')
      await appendOrUndo(file, missing + lines, { end, durable })
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
 * Cuts off an unfinished last line, left by a command that was killed. Returns the file's length in
 * octets, and the newline that is missing where a whole last line has lost its own. Throws
 * `corrupt-state` for any other text there, which a person may want to look at.
 */
function endLastLine(file: number, path: string): { end: number; missing: '' | '\n' } {
  const { size } = fstatSync(file)
  const last = Buffer.alloc(1)
  if (size === 0 || (readSync(file, last, 0, 1, size - 1) === 1 && last[0] === 0x0a))
    return { end: size, missing: '' }
  const window = Buffer.alloc(Math.min(size, longestLine))
  readSync(file, window, 0, window.length, size - window.length)
  const newline = window.lastIndexOf(0x0a)
  const text = window.toString('utf8', newline + 1)
  const isCut = newline < 0 && size > window.length
  if (!isCut && parseLine(text) !== null) return { end: size, missing: '\n' }
  if (isCut || !isUnfinished(text))
    throw new RootlingError(
      'corrupt-state',
      `The record ${quotedPath(path)} is damaged at its end.`,
      {
        hint: `Restore it from a backup, or delete what is not a line: ${toEdit(path, 'tail -c 500')}`,
      },
    )
  const end = size - window.length + newline + 1
  if (end < size) ftruncateSync(file, end)
  return { end, missing: '' }
}

/** The certificates of `readInventory`, oldest first. */
export async function readRecord(state: StateDirectory): Promise<readonly CertificateRecord[]> {
  return (await readInventory(state)).certificates
}

/**
 * Throws `loose-key` when another user can write to the record. Renewals run its commands and write
 * to its paths.
 */
export function refuseWritableRecord(state: StateDirectory): void {
  const path = recordPath(state)
  const file = openNoFollow(path)
  if (file === null) return
  try {
    refuseOtherWriters('record', path, file, state.owner)
  } finally {
    closeSync(file)
  }
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
    const isChosen = chooseIn(text)
    for (const line of linesIn(text)) take(line, isChosen)
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
    const whole = wholeLines(text)
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
        return entryIn(path, file, event.certificate)
    }
    return null
  } finally {
    closeSync(file)
  }
}

const newline = Buffer.from('\n')

/** Returns a piece of the record so that a newline ends its last line too. */
function wholeLines(piece: string): string {
  const rest = piece.slice(piece.lastIndexOf('\n') + 1)
  if (rest === '') return piece
  return isUnfinished(rest) ? piece.slice(0, piece.length - rest.length) : `${piece}\n`
}

/**
 * Finds the revocation of a certificate, and skips lines that cannot be read; `null`: it is not
 * revoked, or its hold was released. It searches the record from the end for the serial number, and
 * parses few lines: for a program that asks seldom. `certificatesOf` answers many questions. Where
 * the certificate was issued it does not stop, since two records that a person joined may have a
 * revocation before its certificate.
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
      if (event === null || bare(serialIn(event)) !== serial) continue
      if (event.kind === 'revoked') return event.revocation
      if (event.kind === 'released') return null
    }
    return null
  } finally {
    closeSync(file)
  }
}

/** Returns a certificate with what the lines of the record say of it. */
function entryIn(path: string, file: number, certificate: CertificateRecord): Entry {
  const serial = `${bare(certificate.serialNumber)}"`
  const ends = createEnds()
  for (const piece of piecesFrom(path, file, { start: 0, room: 1024 * 1024 }))
    if (piece.includes(serial))
      for (const line of linesIn(textOf(piece))) {
        const event = line.includes(serial) ? parseLine(line) : null
        if (event !== null) ends.add(event)
      }
  return ends.entryOf(certificate)
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
  const ends = readEnds(path)
  let isDamaged = false
  for (const text of readPiecesFromEnd(path)) {
    const whole = wholeLines(text)
    const lines = all
      ? linesOf(whole).lines.toReversed()
      : (linesOfFiles(whole, taken) ?? currentLines(whole, taken, true))
    const page: Listed[] = []
    for (const line of lines) {
      const event = parseLine(line)
      if (event === null) isDamaged = true
      else if (event.kind === 'issued') {
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

/**
 * Reads what happened to certificates, which are few lines of the record. It is known before any
 * certificate is read, since a revocation may be on record before its certificate.
 */
function readEnds(path: string) {
  const ends = createEnds()
  for (const text of readPieces(path))
    for (const line of linesIn(text)) {
      const event = line.startsWith(issued) ? null : parseLine(line)
      if (event !== null) ends.add(event)
    }
  return ends
}

/**
 * Collects what happened to certificates; the events are given oldest first. A certificate and its
 * events may write the serial number with and without leading zeros.
 */
function createEnds() {
  const revocations = new Map<string, Revocation>()
  const forgotten = new Map<string, string>()
  return {
    /** By the bare serial number: the revocation, and the serial number as a `forgotten` writes it. */
    revocations,
    forgotten,
    add(event: Event): void {
      if (event.kind === 'revoked')
        revocations.set(bare(event.revocation.serialNumber), event.revocation)
      if (event.kind === 'released') revocations.delete(bare(event.serialNumber))
      if (event.kind === 'forgotten') forgotten.set(bare(event.serialNumber), event.serialNumber)
    },
    entryOf(certificate: CertificateRecord): Entry {
      const serial = bare(certificate.serialNumber)
      const revocation = revocations.get(serial) ?? null
      return { certificate, revocation, forgotten: forgotten.has(serial) }
    },
  }
}

/** Returns the numbers of the lines that cannot be read. */
function damagedIn(path: string): number[] {
  const damaged: number[] = []
  let count = 0
  for (const text of readPieces(path)) {
    for (const line of linesIn(text)) {
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
  const ends = createEnds()
  for (const event of events) {
    if (event.kind === 'issued') certificates.push(event.certificate)
    else ends.add(event)
  }
  const forgotten = new Set(ends.forgotten.values())
  const revocations = new Map<string, Revocation>()
  for (const one of ends.revocations.values()) revocations.set(one.serialNumber, one)
  // A certificate finds its events by the serial number as it writes it itself.
  for (const certificate of certificates) {
    const entry = ends.entryOf(certificate)
    if (entry.revocation !== null) revocations.set(certificate.serialNumber, entry.revocation)
    if (entry.forgotten) forgotten.add(certificate.serialNumber)
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
      hint: `Restore it from a backup, or delete ${isOne ? 'that line' : 'those lines'}: ${toDeleteLines(path, deletions.join(';'))}`,
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
