import { join } from 'node:path'
import { openJournal, readJournal } from '../../files/journal.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import type { Account, Authorization, Order, StoredCertificate } from '../resources.ts'
import { parseLine, type JournalLine, type Put } from './journal-line.ts'
import { makeRoom } from './make-room.ts'
import {
  challengeChange,
  packAuthorization,
  unpackAuthorization,
  withChange,
  type ChallengeChange,
  type PackedAuthorization,
} from './packed.ts'
import { createTables, kinds, type Kind, type Kinds, type Tables } from './tables.ts'
import type { Unfinished } from './unfinished.ts'

/** All resources that the server knows, in memory; each change is a line in a journal. */
export interface Store {
  get<K extends Kind>(kind: K, id: string): Kinds[K] | undefined
  put<K extends Kind>(kind: K, resource: Kinds[K]): void
  /** Puts all that a unit of work has put, and makes room. */
  putAll(puts: readonly Put[]): void
  /** Keeps puts, beside the others, until `settle` says whether they take effect. */
  prepare(serialNumber: string, puts: readonly Put[]): void
  settle(serialNumber: string, recorded: boolean): void
  /** The serial numbers that are prepared and not settled. */
  prepared(): Iterable<string>
  delete(kind: Kind, id: string): void
  all<K extends Kind>(kind: K): Iterable<Kinds[K]>
  accountByThumbprint(thumbprint: string): Account | undefined
  certificateBySerialNumber(serialNumber: string): StoredCertificate | undefined
  /** The orders of an account, oldest first. */
  ordersOf(accountId: string): readonly Order[]
  readonly unfinished: Unfinished
  /** The authorizations with a challenge whose validation was asked for and has no outcome. */
  validating(): Iterable<Authorization>
  /**
   * Forgets the oldest resources beyond the bounds: orders with all that belongs to them, and
   * accounts without orders, even those that are bound to an EAB key.
   */
  makeRoom(): void
  /** Resolves when all changes so far are on disk. */
  saved(): Promise<void>
  close(): Promise<void>
}

/**
 * Opens the store of a state directory, which is read from `acme/journal`. Throws `corrupt-state`
 * with the line at fault. Only one process may open it: the daemon, of which there is one for each
 * state directory.
 */
export async function openStore(state: StateDirectory, now: () => Date): Promise<Store> {
  const path = join(state.path, 'acme', 'journal')
  const tables = createTables()
  const prepared: Prepared = new Map()
  let number = 0
  for (const line of readJournal(path))
    apply(tables, prepared, parseLine(line, path, ++number), Buffer.byteLength(line))
  const journal = await openJournal({
    path,
    state,
    snapshot: () => snapshotOf(tables, prepared, now().getTime()),
    longest: () => 4 * kinds.reduce((sum, kind) => sum + tables.count(kind), 0) + 20_000,
    largest: () => 2 * kinds.reduce((sum, kind) => sum + tables.octets(kind), 0) + smallJournal,
  })

  const write = (line: Exclude<JournalLine, readonly ['authorizations', ...unknown[]]>): number => {
    const text = JSON.stringify(line)
    journal.add(text)
    return Buffer.byteLength(text)
  }
  const forget = (kind: Kind, id: string): void => {
    tables.delete(kind, id)
    write([kind, id, 'deleted'])
  }
  const putAll = (puts: readonly Put[]): void => {
    const authorizations: Authorization[] = []
    for (const [kind, resource] of puts)
      if (kind !== 'authorization') tables.put<Kind>(kind, resource, write([kind, resource]))
      else {
        const change = putAuthorization(tables, resource as Authorization)
        if (change === null) authorizations.push(resource as Authorization)
        else write(['challenge', ...change])
      }
    for (const line of linesOf(tables, authorizations)) journal.add(line)
  }
  return {
    get: (kind, id) => tables.get(kind, id),
    put: (kind, resource) => putAll([[kind, resource]]),
    putAll(puts) {
      putAll(puts)
      makeRoom(tables, forget)
    },
    prepare(serialNumber, puts) {
      prepared.set(serialNumber, puts)
      write(['prepared', serialNumber, puts])
    },
    settle(serialNumber, recorded) {
      const line = ['settled', serialNumber, recorded] as const
      apply(tables, prepared, line, write(line))
      makeRoom(tables, forget)
    },
    prepared: () => [...prepared.keys()],
    delete: forget,
    all: (kind) => tables.all(kind),
    accountByThumbprint: (thumbprint) => tables.accountByThumbprint(thumbprint),
    certificateBySerialNumber: (number) => tables.certificateBySerialNumber(number),
    ordersOf: (accountId) => tables.ordersOf(accountId),
    unfinished: tables.unfinished,
    validating: () => tables.validating(),
    makeRoom: () => makeRoom(tables, forget),
    saved: () => journal.saved(),
    close: () => journal.close(),
  }
}

/** The octets of a journal that is not worth a snapshot yet. */
const smallJournal = 16 * 1024 * 1024

/** The time for which an order is remembered after its end, in milliseconds. */
const remembered = 30 * 86_400_000

/** What is prepared and not settled, by serial number. */
type Prepared = Map<string, readonly Put[]>

/** Makes the change that a line of so many octets says. */
function apply(tables: Tables, prepared: Prepared, line: JournalLine, octets: number): void {
  if (line.length === 2) tables.put(line[0], line[1], octets)
  else if (line[0] === 'authorizations')
    for (const packed of line[2])
      tables.put('authorization', unpackAuthorization(line[1], packed), 0)
  else if (line[0] === 'challenge') {
    const [, ...change] = line
    const before = tables.get('authorization', change[0])
    // It may have been forgotten since.
    if (before === undefined) return
    const packed = withChange(packAuthorization(before), change)
    tables.put('authorization', unpackAuthorization(before.accountId, packed), 0)
  } else if (line[0] === 'prepared') prepared.set(line[1], line[2])
  else if (line[0] === 'settled') {
    const puts = line[2] ? prepared.get(line[1]) : undefined
    for (const put of puts ?? []) tables.put(put[0], put[1], Buffer.byteLength(JSON.stringify(put)))
    prepared.delete(line[1])
  } else tables.delete(line[0], line[1])
}

/**
 * Puts an authorization; returns the change of a challenge that makes it of the one before, if that is
 * all.
 */
function putAuthorization(tables: Tables, authorization: Authorization): ChallengeChange | null {
  const packed = (): string => tables.authorizationText(authorization.id)
  const before = packed()
  tables.put('authorization', authorization, 0)
  const parse = (text: string): PackedAuthorization => JSON.parse(text) as PackedAuthorization
  return before === '' ? null : challengeChange(parse(before), parse(packed()))
}

/** The most authorizations in a line. */
const longestLine = 100

/** Yields lines for authorizations in the tables: one for all that follow each other in an account. */
function* linesOf(tables: Tables, authorizations: Iterable<Authorization>): Generator<string> {
  let accountId = ''
  let texts: string[] = []
  const line = (): string => `["authorizations",${JSON.stringify(accountId)},[${texts.join(',')}]]`
  for (const one of authorizations) {
    if (texts.length === longestLine || (texts.length > 0 && one.accountId !== accountId)) {
      yield line()
      texts = []
    }
    accountId = one.accountId
    texts.push(tables.authorizationText(one.id))
  }
  if (texts.length > 0) yield line()
}

/** Forgets what ended long ago, and returns the journal's lines for everything else. */
function* snapshotOf(tables: Tables, prepared: Prepared, now: number): Generator<string> {
  for (const { id, expires, certificateId = '', authorizationIds } of tables.all('order')) {
    const end = Math.max(expires, tables.get('certificate', certificateId)?.notAfter ?? 0)
    if (end + remembered > now) continue
    for (const authorizationId of authorizationIds) tables.delete('authorization', authorizationId)
    tables.delete('certificate', certificateId)
    tables.delete('order', id)
  }
  for (const kind of kinds)
    if (kind === 'authorization') yield* linesOf(tables, tables.all(kind))
    else for (const resource of tables.all(kind)) yield JSON.stringify([kind, resource])
  for (const line of prepared) yield JSON.stringify(['prepared', ...line])
}
