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
import type { StateDirectory } from '../../home/state-directory.ts'
import type { Identifier } from '../../x509/identifier.ts'
import { readPieces, readPiecesFromEnd, shellWord, unwritable } from '../../files/files.ts'
import { sync } from '../../files/sync-fs.ts'

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

/** A line, which holds the kind of event beside its members. */
type Event =
  | { readonly kind: 'issued'; readonly certificate: CertificateRecord }
  | { readonly kind: 'revoked'; readonly revocation: Revocation }
  | { readonly kind: 'released'; readonly serialNumber: string }

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
async function append(state: StateDirectory, event: object, durable = true): Promise<void> {
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
  const path = recordPath(state)
  const events: Event[] = []
  for (const text of readPieces(path, longestRecord)) {
    const lines = text.split('\n')
    const last = lines.pop() ?? ''
    for (const line of lines) events.push(parseLine(line) ?? damagedLine(path, events.length + 1))
    if (!isUnfinished(last)) damagedLine(path, events.length + 1)
  }
  return inventoryOf(events)
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
  const taken = new Set<string>()
  const current: string[] = []
  for (const text of readPiecesFromEnd(recordPath(state), longestRecord)) {
    const unfinished = text.slice(text.lastIndexOf('\n') + 1)
    if (!isUnfinished(unfinished)) return readInventory(state)
    const whole = text.slice(0, text.length - unfinished.length)
    const lines = linesOfFiles(whole, taken) ?? currentLines(whole, taken, printed)
    for (const line of lines) current.push(line)
  }
  const events = current.toReversed().map(parseLine)
  // Which line is damaged, the whole record tells.
  return events.every((event) => event !== null) ? inventoryOf(events) : readInventory(state)
}

/** Octets. */
const longestRecord = 512 * 1024 * 1024

/** Whether it is how a line begins: anything else was written by no dying writer of ours. */
function isUnfinished(line: string): boolean {
  const begin = '{"event":"'
  return line.startsWith(begin) || begin.startsWith(line)
}

const issued = '{"event":"issued",'
/** Quotes in texts are escaped: no text can look like a member. Unrolled, it takes half the time. */
const certPaths = /"certPath":"[^"\\]*(?:\\.[^"\\]*)*"/g

/**
 * The lines of files that no later line has taken, the newest first; `null`: not every line is of an
 * issued certificate with a file. What goes over the text is V8's own: a loop of ours would be
 * compiled on the way, for longer than it runs.
 */
function linesOfFiles(text: string, taken: Set<string>): string[] | null {
  const paths = text.match(certPaths) ?? []
  const lines = text.split('\n')
  const starts = text.split(`\n${issued}`).length + Number(text.startsWith(issued)) - 1
  if (paths.length !== lines.length - 1 || starts !== paths.length) return null
  const newest: string[] = []
  paths.toReversed().forEach((path, i) => {
    if (taken.has(path)) return
    taken.add(path)
    newest.push(lines[paths.length - 1 - i] ?? '')
  })
  return newest
}

/** The same of any lines, with those that have no file. */
function currentLines(text: string, taken: Set<string>, printed: boolean): string[] {
  return text
    .split('\n')
    .slice(0, -1)
    .toReversed()
    .filter((line) => {
      const path = line.startsWith(issued) ? line.match(certPaths)?.[0] : undefined
      if (path === undefined) return printed || !line.includes('"certPath":null')
      return !taken.has(path) && taken.add(path)
    })
}

/** What events say, the oldest first. */
function inventoryOf(events: readonly Event[]): Inventory {
  const certificates: CertificateRecord[] = []
  const revocations = new Map<string, Revocation>()
  for (const event of events) {
    if (event.kind === 'issued') certificates.push(event.certificate)
    else if (event.kind === 'released') revocations.delete(event.serialNumber)
    else revocations.set(event.revocation.serialNumber, event.revocation)
  }
  return { certificates, revocations }
}

/** `null`: it is damaged. */
function parseLine(line: string): Event | null {
  try {
    if (line.startsWith(issued)) {
      const certificate = JSON.parse(`{${line.slice(issued.length)}`) as CertificateRecord
      return isSoundRecord(certificate) ? { kind: 'issued', certificate } : null
    }
    const { event, ...rest } = JSON.parse(line) as Revocation & { readonly event: unknown }
    if (event === 'revoked' && isSoundRevocation(rest)) return { kind: event, revocation: rest }
    const { serialNumber } = rest
    return event === 'released' && isSerialNumber(serialNumber)
      ? { kind: event, serialNumber }
      : null
  } catch {
    return null
  }
}

function damagedLine(path: string, number: number): never {
  throw new RootlingError('corrupt-state', `Line ${number} of the record ${path} is damaged.`, {
    hint: `Restore it from a backup, or delete that line: sed -i ${number}d ${shellWord(path)}`,
  })
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isTextOrAbsent = (value: unknown): boolean => value === undefined || isText(value)
const isPath = (value: unknown): boolean => value === null || isText(value)

const isSerialNumber = (value: unknown): boolean => isText(value) && /^[0-9a-f]{2,40}$/.test(value)

const isSoundRevocation = ({ serialNumber, revokedAt, reason }: Partial<Revocation>): boolean =>
  isSerialNumber(serialNumber) &&
  isDate(revokedAt) &&
  revocationReasons.some((known) => known === reason)

/** Of ten thousand lines in a row, so it makes nothing that has to be cleared away. */
function isSoundRecord(record: Partial<CertificateRecord>): boolean {
  const { identifiers, extra, purpose } = record
  return (
    isSerialNumber(record.serialNumber) &&
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
