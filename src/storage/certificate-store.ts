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
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../paths.ts'
import type { Identifier } from '../x509/identifier.ts'
import { readPieces, shellWord, unwritable } from './files.ts'
import { sync } from './page-cache.ts'

/** Whom the certificate speaks for; RFC 5280's extKeyUsage serverAuth or clientAuth. */
export type Purpose = 'server' | 'client'

/** One issued certificate, as recorded before its files were written. */
export interface CertificateRecord {
  /** Lower-case hex, 32 digits. */
  readonly serialNumber: string
  /** Name of the scope that signed it. */
  readonly scope: string
  readonly identifiers: readonly Identifier[]
  /** ISO 8601, UTC. */
  readonly notBefore: string
  readonly notAfter: string
  /** A KeyType, or what a request's key was. */
  readonly keyType: string
  readonly purpose: Purpose
  /** SHA-256 of the certificate's DER, hex. */
  readonly fingerprint: string
  /** Absolute; `null`: printed, not written. */
  readonly certPath: string | null
  readonly keyPath: string | null
  /** Further files of the certificate, which renewal writes anew. */
  readonly extra?: readonly ExtraFile[]
  /** Run by a shell after each renewal. */
  readonly onRenew?: string
  /** Where the certificate says that its revocation can be asked. */
  readonly revocationUrl?: string
  /**
   * `daemon`: that URL is the daemon's, and a renewal names it while the daemon serves. `none`:
   * renewals name none either. Absent: what was given stays, and where nothing was as `daemon`.
   */
  readonly responder?: 'daemon' | 'none'
}

/** `chain`: the issuers; `der`: the leaf; `full`: chain and key; `pkcs12`: needs its password anew. */
export interface ExtraFile {
  readonly format: 'chain' | 'der' | 'full' | 'pkcs12'
  readonly path: string
}

/** RFC 5280 §5.3.1, those that an end-entity certificate of a private CA can have. */
export const revocationReasons = [
  'unspecified',
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  'privilegeWithdrawn',
] as const
export type RevocationReason = (typeof revocationReasons)[number]

export interface Revocation {
  readonly serialNumber: string
  readonly reason: RevocationReason
  /** ISO 8601, UTC. */
  readonly revokedAt: string
}

/** All that was issued, oldest first, and what of it stands revoked. */
export interface Inventory {
  readonly certificates: readonly CertificateRecord[]
  /** By serial number; a hold that was released is not in it. */
  readonly revocations: ReadonlyMap<string, Revocation>
}

type Event =
  | ({ readonly event: 'issued' } & CertificateRecord)
  | ({ readonly event: 'revoked' } & Revocation)
  | { readonly event: 'released'; readonly serialNumber: string; readonly releasedAt: string }

/** Octets; a certificate of the most and longest names that `issue` takes stays far below. */
const longestLine = 256 * 1024

/** Where the record is; whoever watches it for changes must not read its lines. */
export const recordPath = (state: StateDirectory): string => join(state.path, 'certificates.jsonl')

/**
 * Only for whoever holds the lock. Not `durable`: on record after the process is killed, but
 * perhaps not after a power cut; for a certificate whose key is in that process alone.
 */
export async function recordIssued(
  state: StateDirectory,
  record: CertificateRecord,
  { durable = true }: { readonly durable?: boolean } = {},
): Promise<void> {
  await append(state, { event: 'issued', ...record }, durable)
}

/** Only for whoever holds the lock. */
export async function recordRevoked(state: StateDirectory, revocation: Revocation): Promise<void> {
  await append(state, { event: 'revoked', ...revocation })
}

/** Ends a hold. Only for whoever holds the lock. */
export async function recordReleased(
  state: StateDirectory,
  serialNumber: string,
  now: Date,
): Promise<void> {
  await append(state, { event: 'released', serialNumber, releasedAt: now.toISOString() })
}

/** One line at the end of a file, so that the cost does not grow with the record. */
async function append(state: StateDirectory, event: Event, durable = true): Promise<void> {
  const path = recordPath(state)
  try {
    const flags =
      constants.O_RDWR | constants.O_CREAT | constants.O_APPEND | (constants.O_NOFOLLOW ?? 0)
    const file = openSync(path, flags, 0o600)
    try {
      if (state.owner !== null) fchownSync(file, state.owner.uid, state.owner.gid)
      const end = dropTornLine(file, path)
      await appendOrUndo(file, `${JSON.stringify(event)}\n`, { end, durable })
    } finally {
      closeSync(file)
    }
  } catch (error) {
    throw unwritable(path, error)
  }
}

/** A full disk may take half a line: it is taken back, so that the record stays whole. */
async function appendOrUndo(
  file: number,
  line: string,
  { end, durable }: { readonly end: number; readonly durable: boolean },
): Promise<void> {
  try {
    writeFileSync(file, line)
    if (durable) await sync(file)
  } catch (error) {
    try {
      ftruncateSync(file, end)
    } catch {
      // The next writer drops the torn line.
    }
    throw error
  }
}

/**
 * Cuts off an unfinished last line, left by a writer that died; returns the file's length. Throws
 * `corrupt-state` for what is no such line, which somebody may want to look at.
 */
function dropTornLine(file: number, path: string): number {
  const { size } = fstatSync(file)
  const last = Buffer.alloc(1)
  if (size === 0 || (readSync(file, last, 0, 1, size - 1) === 1 && last[0] === 0x0a)) return size
  const window = Buffer.alloc(Math.min(size, longestLine))
  readSync(file, window, 0, window.length, size - window.length)
  const newline = window.lastIndexOf(0x0a)
  if ((newline < 0 && size > window.length) || !isUnfinished(window.toString('utf8', newline + 1)))
    throw new RootlingError('corrupt-state', `The record ${path} is damaged at its end.`, {
      hint: `Restore it from a backup, or delete what is no line: tail -c 500 ${shellWord(path)}`,
    })
  const end = size - window.length + newline + 1
  if (end < size) ftruncateSync(file, end)
  return end
}

/** What was issued, oldest first; see `readInventory`. */
export async function readRecord(state: StateDirectory): Promise<readonly CertificateRecord[]> {
  return (await readInventory(state)).certificates
}

/**
 * The whole record. An unfinished last line was never acknowledged and is passed over; any other
 * line that cannot be read throws `corrupt-state`, and nothing is changed.
 */
export async function readInventory(state: StateDirectory): Promise<Inventory> {
  return inventoryOf(state, numbered(state))
}

/**
 * The record without the certificates whose files a later one has taken. Most lines of an old
 * record are theirs, and are told by the path in them: what else they say is not looked at. Without
 * `printed`, nor are those of certificates that were given to a client and have no file.
 */
export async function readCurrentInventory(
  state: StateDirectory,
  { printed = true }: { readonly printed?: boolean } = {},
): Promise<Inventory> {
  const newest = new Map<string, Line>()
  const others: Line[] = []
  for (const piece of readLines(state))
    for (const line of newestOfFiles(piece) ?? currentLines(piece, printed))
      if (line.path === undefined) others.push(line)
      else newest.set(line.path, line)
  const current = [...newest.values(), ...others]
  return inventoryOf(
    state,
    current.toSorted((a, b) => a.number - b.number),
  )
}

/** Some whole lines of the record; `first` is the first one's number. */
interface Piece {
  readonly text: string
  readonly lines: readonly string[]
  readonly first: number
}

interface Line {
  readonly text: string
  /** From 1 on. */
  readonly number: number
  /** Of the certificate's file; absent: it has none, or nobody has looked. */
  readonly path?: string
}

function* readLines(state: StateDirectory): Generator<Piece> {
  const path = recordPath(state)
  let first = 1
  for (const text of readPieces(path, 512 * 1024 * 1024)) {
    const lines = text.split('\n')
    if (!isUnfinished(lines.pop() ?? '')) throw damagedLine(path, first + lines.length)
    yield { text, lines, first }
    first += lines.length
  }
}

function* numbered(state: StateDirectory): Generator<Line> {
  for (const { lines, first } of readLines(state))
    for (const [i, text] of lines.entries()) yield { text, number: first + i }
}

/** Whether it is how a line begins: anything else was written by no dying writer of ours. */
function isUnfinished(line: string): boolean {
  const begin = '{"event":"'
  return line.startsWith(begin) || begin.startsWith(line)
}

const issued = '{"event":"issued",'
/** Quotes in texts are escaped: no text can look like a member. */
const certPaths = /"certPath":"(?:[^"\\]|\\.)*"/g

/**
 * The newest line of each file; `null`: not every line is of an issued certificate with a file.
 * Searching the text as a whole takes a third of what a loop takes that V8 has yet to compile.
 */
function newestOfFiles({ text, lines, first }: Piece): Line[] | null {
  const paths = text.match(certPaths) ?? []
  const starts = text.split(`\n${issued}`).length + Number(text.startsWith(issued)) - 1
  if (paths.length !== lines.length || starts !== lines.length) return null
  const files = new Set<string>(paths)
  const newest: Line[] = []
  for (let i = lines.length - 1; files.size > 0; i--) {
    const path = paths[i] ?? ''
    if (files.delete(path)) newest.push({ text: lines[i] ?? '', number: first + i, path })
  }
  return newest
}

/** The same of any lines, with those that have no file. */
function currentLines({ lines, first }: Piece, printed: boolean): Line[] {
  const taken = new Set<string>()
  const current: Line[] = []
  for (let i = lines.length - 1; i >= 0; i--) {
    const line = { text: lines[i] ?? '', number: first + i }
    const path = line.text.startsWith(issued) ? line.text.match(certPaths)?.[0] : undefined
    if (path === undefined) {
      if (printed || !line.text.includes('"certPath":null')) current.push(line)
    } else if (!taken.has(path)) {
      taken.add(path)
      current.push({ ...line, path })
    }
  }
  return current
}

/** What some lines say, the oldest first. */
function inventoryOf(state: StateDirectory, lines: Iterable<Line>): Inventory {
  const certificates: CertificateRecord[] = []
  const revocations = new Map<string, Revocation>()
  const path = recordPath(state)
  for (const { text, number } of lines) {
    const event = parseLine(text, path, number)
    if (event.event === 'released') revocations.delete(event.serialNumber)
    else {
      const { event: kind, ...rest } = event
      if (kind === 'issued') certificates.push(rest as CertificateRecord)
      else revocations.set(event.serialNumber, rest as Revocation)
    }
  }
  return { certificates, revocations }
}

function parseLine(line: string, path: string, number: number): Event {
  try {
    const event = JSON.parse(line) as Event
    if (isSound(event)) return event
  } catch {
    // Falls through to the sentence below, which says more than the parser's.
  }
  throw damagedLine(path, number)
}

function damagedLine(path: string, number: number): RootlingError {
  const sentence = `Line ${number} of the record ${path} is damaged.`
  return new RootlingError('corrupt-state', sentence, {
    hint: `Restore it from a backup, or delete that line: sed -i ${number}d ${shellWord(path)}`,
  })
}

function isSound(event: Partial<Event>): boolean {
  if (!/^[0-9a-f]{2,40}$/.test(event.serialNumber ?? '')) return false
  switch (event.event) {
    case 'issued':
      return isSoundRecord(event)
    case 'revoked':
      return isDate(event.revokedAt) && revocationReasons.some((reason) => reason === event.reason)
    case 'released':
      return true
    default:
      return false
  }
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isTextOrAbsent = (value: unknown): boolean => value === undefined || isText(value)
const isPath = (value: unknown): boolean => value === null || isText(value)

/** Of ten thousand lines in a row, so it makes nothing that has to be cleared away. */
function isSoundRecord(record: Partial<CertificateRecord>): boolean {
  const { identifiers, extra, purpose } = record
  return (
    isText(record.scope) &&
    isText(record.keyType) &&
    isText(record.fingerprint) &&
    (purpose === 'server' || purpose === 'client') &&
    Array.isArray(identifiers) &&
    identifiers.every(isIdentifier) &&
    isDate(record.notBefore) &&
    isDate(record.notAfter) &&
    isPath(record.certPath) &&
    isPath(record.keyPath) &&
    (extra === undefined || (Array.isArray(extra) && extra.every(isExtraFile))) &&
    isTextOrAbsent(record.onRenew) &&
    isTextOrAbsent(record.revocationUrl) &&
    isTextOrAbsent(record.responder)
  )
}

const isIdentifier = (one: Partial<Identifier> | null): boolean =>
  isText(one?.type) && isText(one.value)
const isExtraFile = (one: Partial<ExtraFile> | null): boolean =>
  isText(one?.format) && isText(one.path)
const isDate = (text: string | undefined): boolean => !Number.isNaN(Date.parse(text ?? ''))
