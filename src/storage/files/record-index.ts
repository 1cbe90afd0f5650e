import { fstatSync } from 'node:fs'
import { lineAt, piecesFrom } from '../../files/lines.ts'
import { textOf } from '../../files/read.ts'
import { RootlingError } from '../../errors.ts'
import { quotedPath } from '../../shell-word.ts'
import type { Revocation } from '../../x509/revocation.ts'
import { parseValidity, renewalTime } from '../../x509/profiles.ts'
import { bare, type CertificateRecord } from '../records.ts'
import type { Due, DueOptions, Entry } from '../storage.ts'
import { createNumbering, type Numbering } from './numbering.ts'
import { isUnfinished, linesIn, parseLine, serialIn } from './record-lines.ts'

/**
 * Where each certificate is in the record's file, and what later lines say of it. It takes about 150
 * octets for each certificate and none for its names. `file` is the open file of the last `follow`.
 * Questions throw `corrupt-state` where a line is not what it was at that time.
 */
export interface RecordIndex {
  /** Reads what the file holds more than at the last call. A file that was replaced is read anew. */
  follow(file: number): void
  /** Forgets all: the file is gone. */
  clear(): void
  /** The numbers of the lines that cannot be read, from 1 on. */
  damaged(): readonly number[]
  find(file: number, serialNumber: string): Entry | null
  findByFingerprint(file: number, fingerprint: string): Entry | null
  findByFile(file: number, certPath: string): Entry | null
  /** The revocation of a serial number, also where the certificate is not on record. */
  revocationOf(file: number, serialNumber: string): Revocation | null
  revoked(file: number, scope: string, notBefore: Date): readonly Entry[]
  /** A number that grows with each change of what `revoked` returns for a scope. */
  revocationsOf(scope: string): number
  due(file: number, at: Date, options: DueOptions): Due
  /** Yields the certificates that were on record at the last `follow`, oldest first, in pages. */
  pages(file: number, wanted: 'all' | 'current' | 'current in files'): Generator<readonly Entry[]>
}

/** Numbers, 8 octets for each. */
interface Column {
  get(i: number): number
  set(i: number, value: number): void
}

function createColumn(): Column {
  let values = new Float64Array(64)
  return {
    get: (i) => values[i] ?? 0,
    set(i, value) {
      if (i >= values.length) {
        const more = new Float64Array(Math.ceil(i * 1.25) + 1)
        more.set(values)
        values = more
      }
      values[i] = value
    },
  }
}

/** What is known of a file up to `end`. Certificates, files and scopes have numbers from 0 on. */
interface Known {
  /** Says whether the file is as it was when it was read last. */
  stamp: string
  /** The file's identity, and how long it was. */
  identity: string
  size: number
  /** Where the first line begins that is not known, and how many are before it. */
  end: number
  lines: number
  /** The last octets before `end`. */
  tail: string
  damaged: number[]
  /** Whether the last line was read although its newline is missing. */
  lacksNewline: boolean
  readonly serials: Numbering
  readonly fingerprints: Numbering
  readonly files: Numbering
  readonly scopes: Map<string, number>
  /** By the number of a fingerprint, or of a file: the newest certificate. */
  readonly ofFingerprint: Column
  readonly ofFile: Column
  /** By the number of a certificate; the file of one that was printed is -1. */
  readonly place: Column
  readonly notBefore: Column
  readonly notAfter: Column
  readonly due: Column
  readonly file: Column
  readonly scope: Column
  /** 1: it is. */
  readonly isForgotten: Column
  readonly isRevoked: Column
  /** The serial numbers that were forgotten before a line issued them. */
  readonly forgottenBefore: Set<string>
  /** By serial number: where the line of its revocation begins. */
  readonly revocations: Map<string, number>
  /** By the number of a scope: how often revocations of its certificates changed. */
  readonly changes: Map<number, number>
}

const nothing = (): Known => ({
  stamp: '',
  identity: '',
  size: 0,
  end: 0,
  lines: 0,
  tail: '',
  damaged: [],
  lacksNewline: false,
  serials: createNumbering(),
  fingerprints: createNumbering(),
  files: createNumbering(),
  scopes: new Map(),
  ofFingerprint: createColumn(),
  ofFile: createColumn(),
  place: createColumn(),
  notBefore: createColumn(),
  notAfter: createColumn(),
  due: createColumn(),
  file: createColumn(),
  scope: createColumn(),
  isForgotten: createColumn(),
  isRevoked: createColumn(),
  forgottenBefore: new Set(),
  revocations: new Map(),
  changes: new Map(),
})

/**
 * Returns the error for a line that is not what it was: the file was written over and looks as
 * before, with the same size and time of change.
 */
const changedUnseen = (path: string): RootlingError =>
  new RootlingError(
    'corrupt-state',
    `The record ${quotedPath(path)} was written over while it was in use.`,
    { hint: 'Run the command again' },
  )

/** How many octets of the end are compared before only what follows them is read. */
const tailLength = 1024

export function createRecordIndex(path: string): RecordIndex {
  let known = nothing()
  // A file that is read anew must not come to a number that was given for the one before it.
  let generation = 0

  function follow(file: number): void {
    const { dev, ino, size, mtimeNs } = fstatSync(file, { bigint: true })
    const stamp = `${dev} ${ino} ${size} ${mtimeNs}`
    if (stamp === known.stamp) return
    const identity = `${dev} ${ino}`
    const goesOn = identity === known.identity && size > known.size && tailAt(file) === known.tail
    // A last line without its newline may since have been completed, or cut off.
    if (!goesOn || known.lacksNewline) clear()
    try {
      readOn(file)
    } catch (error) {
      clear()
      throw error
    }
    Object.assign(known, { stamp, identity, size: Number(size), tail: '' })
    known.tail = tailAt(file)
  }

  function clear(): void {
    known = nothing()
    generation += 1e9
  }

  /** Returns the last octets before the known end. */
  function tailAt(file: number): string {
    const start = Math.max(0, known.end - tailLength)
    for (const piece of piecesFrom(path, file, { start, room: tailLength }))
      return piece.toString('latin1', 0, known.end - start)
    return ''
  }

  function readOn(file: number): void {
    for (const piece of piecesFrom(path, file, { start: known.end, room: 1024 * 1024 })) {
      let from = 0
      for (;;) {
        const newline = piece.indexOf(0x0a, from)
        if (newline < 0) break
        take(textOf(piece.subarray(from, newline)), known.end + from)
        from = newline + 1
      }
      const rest = textOf(piece.subarray(from))
      known.lacksNewline = !isUnfinished(rest)
      if (known.lacksNewline) {
        take(rest, known.end + from)
        from = piece.length
      }
      known.end += from
    }
  }

  function take(line: string, place: number): void {
    known.lines++
    const event = parseLine(line)
    if (event === null) known.damaged.push(known.lines)
    else if (event.kind === 'issued') takeCertificate(event.certificate, place)
    else if (event.kind === 'revoked') takeRevocation(event.revocation.serialNumber, place)
    else if (event.kind === 'released') takeRevocation(event.serialNumber, null)
    else {
      const serial = bare(event.serialNumber)
      const number = known.serials.get(serial)
      if (number === undefined) known.forgottenBefore.add(serial)
      else known.isForgotten.set(number, 1)
    }
  }

  function takeCertificate(certificate: CertificateRecord, place: number): void {
    const { serialNumber, fingerprint, certPath, scope, notBefore, notAfter } = certificate
    const { serials, fingerprints, files, scopes } = known
    const serial = bare(serialNumber)
    const number = serials.add(serial)
    known.place.set(number, place)
    known.notBefore.set(number, Date.parse(notBefore))
    known.notAfter.set(number, Date.parse(notAfter))
    known.due.set(number, renewalTime(parseValidity(certificate)))
    known.ofFingerprint.set(fingerprints.add(fingerprint), number)
    if (!scopes.has(scope)) scopes.set(scope, scopes.size)
    known.scope.set(number, scopes.get(scope) ?? 0)
    if (known.forgottenBefore.has(serial)) known.isForgotten.set(number, 1)
    if (known.revocations.has(serial)) setRevoked(number, true)
    if (certPath === null) return known.file.set(number, -1)
    const path = files.add(certPath)
    known.file.set(number, path)
    known.ofFile.set(path, number)
  }

  function takeRevocation(serialNumber: string, place: number | null): void {
    const serial = bare(serialNumber)
    if (place === null) known.revocations.delete(serial)
    else known.revocations.set(serial, place)
    const number = known.serials.get(serial)
    if (number !== undefined) setRevoked(number, place !== null)
  }

  function setRevoked(number: number, isRevoked: boolean): void {
    known.isRevoked.set(number, isRevoked ? 1 : 0)
    const scope = known.scope.get(number)
    known.changes.set(scope, (known.changes.get(scope) ?? 0) + 1)
  }

  const isCurrent = (number: number, { file, ofFile }: Known): boolean =>
    file.get(number) < 0 || ofFile.get(file.get(number)) === number

  function entryOf(file: number, number: number | undefined): Entry | null {
    if (number === undefined) return null
    const event = parseLine(lineAt(path, file, known.place.get(number)))
    const isSame = event?.kind === 'issued' && known.serials.get(bare(serialIn(event))) === number
    if (!isSame) throw changedUnseen(path)
    return withEvents(file, event.certificate, known)
  }

  const withEvents = (file: number, certificate: CertificateRecord, from: Known): Entry => {
    const number = from.serials.get(bare(certificate.serialNumber))
    return {
      certificate,
      revocation: revocationIn(file, certificate.serialNumber, from),
      forgotten: number !== undefined && from.isForgotten.get(number) === 1,
    }
  }

  function revocationIn(file: number, serialNumber: string, from: Known): Revocation | null {
    const place = from.revocations.get(bare(serialNumber))
    if (place === undefined) return null
    const event = parseLine(lineAt(path, file, place))
    if (event?.kind === 'revoked' && bare(serialIn(event)) === bare(serialNumber))
      return event.revocation
    throw changedUnseen(path)
  }

  const entriesOf = (file: number, numbers: readonly number[]): Entry[] =>
    numbers.flatMap((number) => entryOf(file, number) ?? [])

  return {
    follow,
    clear,
    damaged: () => known.damaged,
    find: (file, serialNumber) => entryOf(file, known.serials.get(bare(serialNumber))),
    findByFingerprint(file, fingerprint) {
      const number = known.fingerprints.get(fingerprint)
      return number === undefined ? null : entryOf(file, known.ofFingerprint.get(number))
    },
    findByFile(file, certPath) {
      const number = known.files.get(certPath)
      return number === undefined ? null : entryOf(file, known.ofFile.get(number))
    },
    revocationOf: (file, serialNumber) => revocationIn(file, serialNumber, known),
    revoked(file, scope, notBefore) {
      const wanted = known.scopes.get(scope)
      const numbers = [...known.revocations.keys()].flatMap(
        (serialNumber) => known.serials.get(serialNumber) ?? [],
      )
      const listed = numbers.filter(
        (number) =>
          known.scope.get(number) === wanted && known.notAfter.get(number) >= notBefore.getTime(),
      )
      return entriesOf(
        file,
        listed.toSorted((a, b) => a - b),
      )
    },
    revocationsOf: (scope) => generation + (known.changes.get(known.scopes.get(scope) ?? -1) ?? 0),
    due(file, at, { scopes, also = [] }) {
      const time = at.getTime()
      const renewed = new Set(scopes.map((name) => known.scopes.get(name)))
      const asked = new Set(also.map((serialNumber) => known.serials.get(bare(serialNumber))))
      const numbers: number[] = []
      let next = Infinity
      for (let number = 0; number < known.serials.size; number++) {
        const isTracked =
          known.file.get(number) >= 0 &&
          isCurrent(number, known) &&
          known.isForgotten.get(number) === 0 &&
          known.isRevoked.get(number) === 0 &&
          renewed.has(known.scope.get(number))
        if (!isTracked) continue
        const due = known.due.get(number)
        // As `isDueForRenewal` says, but without an object for each certificate.
        if (time >= due || time < known.notBefore.get(number) || asked.has(number))
          numbers.push(number)
        else next = Math.min(next, due)
      }
      return { entries: entriesOf(file, numbers), next: next === Infinity ? null : next }
    },
    *pages(file, wanted) {
      // What is known of this file, also when another has taken its place meanwhile.
      const from = known
      const { end } = from
      const isWanted = ({ certPath, serialNumber }: CertificateRecord): boolean => {
        const number = from.serials.get(bare(serialNumber))
        if (number === undefined || (wanted === 'current in files' && certPath === null))
          return false
        return wanted === 'all' || isCurrent(number, from)
      }
      let start = 0
      for (const piece of piecesFrom(path, file, { start, room: 256 * 1024 })) {
        if (start >= end) return
        start += piece.length
        yield linesIn(textOf(piece)).flatMap((line): Entry[] => {
          const event = parseLine(line)
          return event?.kind === 'issued' && isWanted(event.certificate)
            ? [withEvents(file, event.certificate, from)]
            : []
        })
      }
    },
  }
}
