import { closeSync } from 'node:fs'
import { writeFileAtomic } from '../../files/atomic.ts'
import { isMountPoint } from '../../files/mount-point.ts'
import { linesOf, piecesFrom, readPieces } from '../../files/lines.ts'
import { openNoFollow, sizeWithin, textOf } from '../../files/read.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { day } from '../../x509/profiles.ts'
import { bare, type CertificateRecord } from '../records.ts'
import { createNumbering } from './numbering.ts'
import { linesIn, parseLine, serialIn, type Event } from './record-lines.ts'
import { recordPath } from './record.ts'
import { exclusively } from './unfinished-writes.ts'

/**
 * How long after its end a certificate is kept on record, in milliseconds. A revoked one must be in
 * CRLs for the lifetime of one more CRL, which is a week (RFC 5280 §3.3).
 */
const keptAfterEnd = 30 * day

/** In octets: a shorter record is left as it is. */
const leastSize = 4 * 1024 * 1024

/**
 * Deletes from the record the certificates that ended a month ago, with all that happened to them,
 * if that at least halves a record of several megabytes. The newest certificate of each file stays.
 * Whether it is worthwhile is first asked of a small sample, and only then the lock is taken.
 * Returns whether the record was changed.
 */
export async function compactWhereWorthwhile(
  state: StateDirectory,
  now: Date,
  least = leastSize,
): Promise<boolean> {
  if (!looksWorthwhile(recordPath(state), now, least)) return false
  return exclusively(state, () => compactRecord(state, now, least))
}

/** How many places of the record are looked at, and how many octets at each. */
const places = 16
const octetsOfPlace = 4096

/** Whether half of the certificates at some places of the record have ended long ago. */
function looksWorthwhile(path: string, now: Date, least: number): boolean {
  const file = openNoFollow(path)
  if (file === null) return false
  try {
    const size = sizeWithin(path, file, Infinity)
    if (size < least) return false
    let [all, over] = [0, 0]
    for (let i = 0; i < places; i++) {
      const start = Math.floor((size * i) / places)
      for (const piece of piecesFrom(path, file, { start, room: octetsOfPlace })) {
        // A place is within a line, which therefore is no event.
        for (const line of linesOf(textOf(piece)).lines) {
          const event = parseLine(line)
          if (event?.kind !== 'issued') continue
          all++
          if (Date.parse(event.certificate.notAfter) < now.getTime() - keptAfterEnd) over++
        }
        break
      }
    }
    return 2 * over >= all
  } finally {
    closeSync(file)
  }
}

/**
 * Does what `compactWhereWorthwhile` does. The new record is written beside the old one and renamed
 * over it, so that a kill leaves one of the two. A record with a damaged line, and one that is a
 * mount point, is left as it is. Call it under the lock.
 */
async function compactRecord(state: StateDirectory, now: Date, least: number): Promise<boolean> {
  const path = recordPath(state)
  const found = isMountPoint(path) ? null : survey(path, now)
  if (found === null || found.size < least || 2 * found.kept > found.size) return false
  const data = keptLines(path, found.isKept)
  await writeFileAtomic(path, { data, mode: 0o600 }, state.owner)
  return true
}

interface Survey {
  /** In octets: of all lines, and of those that stay. */
  readonly size: number
  readonly kept: number
  readonly isKept: (event: Event, number: number) => boolean
}

/** Finds out which lines stay; `null`: a line is damaged. */
function survey(path: string, now: Date): Survey | null {
  const files = createNumbering()
  const newest: number[] = []
  const issuedAt: number[] = []
  let [count, size] = [0, 0]
  for (const { event } of eventsOf(path)) {
    if (event === null) return null
    count++
    if (event.kind !== 'issued') continue
    const { certPath, notBefore } = event.certificate
    if (certPath !== null) newest[files.add(certPath)] = count
    issuedAt.push(Date.parse(notBefore))
  }
  // The clock may be years ahead now, and was so for the last renewals, but for no long time.
  const lately = issuedAt[Math.floor((issuedAt.length * 15) / 16)] ?? 0
  const since = Math.min(now.getTime(), lately) - keptAfterEnd
  const stays = ({ certPath, notAfter }: CertificateRecord, number: number): boolean =>
    (certPath !== null && newest[files.get(certPath) ?? -1] === number) ||
    Date.parse(notAfter) >= since
  // Two records that a person joined may have a certificate twice, and its events before it.
  const [gone, staying] = [createNumbering(), createNumbering()]
  let number = 0
  for (const { event } of eventsOf(path)) {
    number++
    if (event?.kind !== 'issued') continue
    const serials = stays(event.certificate, number) ? staying : gone
    serials.add(bare(serialIn(event)))
  }
  const isKept = (event: Event, at: number): boolean => {
    if (event.kind === 'issued') return stays(event.certificate, at)
    const serial = bare(serialIn(event))
    return gone.get(serial) === undefined || staying.get(serial) !== undefined
  }
  let kept = 0
  number = 0
  for (const { event, line } of eventsOf(path)) {
    const octets = Buffer.byteLength(line) + 1
    size += octets
    if (event !== null && isKept(event, ++number)) kept += octets
  }
  return { size, kept, isKept }
}

/** Yields the lines of the record with what they say, without an unfinished last one. */
function* eventsOf(path: string): Generator<{ line: string; event: Event | null }> {
  for (const text of readPieces(path)) {
    for (const line of linesIn(text)) yield { line, event: parseLine(line) }
  }
}

/** Yields the lines that stay, in pieces of many. */
function* keptLines(path: string, isKept: Survey['isKept']): Generator<string> {
  let [number, piece] = [0, '']
  for (const { line, event } of eventsOf(path)) {
    if (event !== null && isKept(event, ++number)) piece += `${line}\n`
    if (piece.length < 1024 * 1024) continue
    yield piece
    piece = ''
  }
  yield piece
}
