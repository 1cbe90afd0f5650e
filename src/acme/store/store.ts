import { join } from 'node:path'
import type { StateDirectory } from '../../home/state-directory.ts'
import { bounds } from './bounds.ts'
import { damagedLine, openJournal, readJournal } from '../../files/journal.ts'
import type { Account, Authorization, EabKey, Order, StoredCertificate } from '../resources.ts'
import { indexUnfinished, type Unfinished } from './unfinished.ts'

interface Kinds {
  account: Account
  order: Order
  authorization: Authorization
  certificate: StoredCertificate
  eabKey: EabKey
}
type Kind = keyof Kinds
const kinds: readonly Kind[] = ['account', 'order', 'authorization', 'certificate', 'eabKey']

/**
 * All that the server knows, in memory, each change a line in a journal. A handler changes the
 * store in one step between two awaits, so that requests at the same time follow each other, and
 * answers after `saved`.
 */
export interface Store {
  get<K extends Kind>(kind: K, id: string): Kinds[K] | undefined
  put<K extends Kind>(kind: K, resource: Kinds[K]): void
  delete(kind: Kind, id: string): void
  all<K extends Kind>(kind: K): Iterable<Kinds[K]>
  accountByThumbprint(thumbprint: string): Account | undefined
  certificateBySerialNumber(serialNumber: string): StoredCertificate | undefined
  /** The orders of an account, oldest first. */
  ordersOf(accountId: string): readonly Order[]
  readonly unfinished: Unfinished
  /** Forgets orders, with or without a certificate, and accounts without any, where there are too many. */
  makeRoom(): void
  /** Resolves when everything put so far stands on disk. */
  saved(): Promise<void>
  close(): Promise<void>
}

/** Past its end, an order is remembered this long; then it goes with all that hangs on it. */
const remembered = 30 * 86_400_000

/**
 * Reads `acme/journal` of the state directory. Throws `corrupt-state` with the line at fault.
 * Only one process may hold it: the daemon, which is one for each state directory.
 */
export async function openStore(state: StateDirectory, now: () => Date): Promise<Store> {
  const path = join(state.path, 'acme', 'journal')
  const tables = {
    account: new Map<string, Account>(),
    order: new Map<string, Order>(),
    authorization: new Map<string, Authorization>(),
    certificate: new Map<string, StoredCertificate>(),
    eabKey: new Map<string, EabKey>(),
  }
  const table = <K extends Kind>(kind: K) => tables[kind] as unknown as Map<string, Kinds[K]>
  const thumbprints = new Map<string, string>()
  const serialNumbers = new Map<string, string>()
  const orders = new Map<string, Set<string>>()
  const issuers = new Map<string, string>()
  const unfinished = indexUnfinished()

  const remove = (kind: Kind, id: string): void => {
    if (kind === 'account') thumbprints.delete(tables.account.get(id)?.thumbprint ?? '')
    if (kind === 'certificate') serialNumbers.delete(tables.certificate.get(id)?.serialNumber ?? '')
    const order = kind === 'order' ? tables.order.get(id) : undefined
    if (order !== undefined) {
      unfinished.forget(order)
      const others = orders.get(order.accountId)
      others?.delete(id)
      if (others?.size === 0) orders.delete(order.accountId)
    }
    tables[kind].delete(id)
  }
  const insert = <K extends Kind>(kind: K, resource: Kinds[K]): void => {
    if (kind === 'account') {
      const { id, thumbprint } = resource as Account
      thumbprints.delete(tables.account.get(id)?.thumbprint ?? '')
      thumbprints.set(thumbprint, id)
    }
    if (kind === 'order') {
      const { id, accountId } = resource as Order
      orders.set(accountId, (orders.get(accountId) ?? new Set()).add(id))
      unfinished.note(resource as Order)
    }
    if (kind === 'certificate') {
      const certificate = resource as StoredCertificate
      // The issuers are the same few thousand octets in nearly all of them.
      const shared = issuers.get(certificate.issuers) ?? certificate.issuers
      issuers.set(shared, shared)
      serialNumbers.set(certificate.serialNumber, certificate.id)
      tables.certificate.set(certificate.id, { ...certificate, issuers: shared })
      return
    }
    table(kind).set(resource.id, resource)
  }

  let number = 0
  for (const line of readJournal(path)) {
    const event = parseLine(line, path, ++number)
    if (event.length === 2) insert(event[0], event[1])
    else remove(event[0], event[1])
  }
  const count = (): number => kinds.reduce((sum, kind) => sum + tables[kind].size, 0)
  function* snapshot(): Generator<string> {
    for (const { id, expires, certificateId = '', authorizationIds } of tables.order.values()) {
      const end = Math.max(expires, tables.certificate.get(certificateId)?.notAfter ?? 0)
      if (end + remembered > now().getTime()) continue
      for (const authorizationId of authorizationIds) remove('authorization', authorizationId)
      remove('certificate', certificateId)
      remove('order', id)
    }
    for (const kind of kinds)
      for (const resource of tables[kind].values()) yield JSON.stringify([kind, resource])
  }
  const journal = await openJournal({
    path,
    state,
    snapshot,
    longest: () => 4 * count() + 20_000,
  })

  const forget = (kind: Kind, id: string): void => {
    remove(kind, id)
    journal.add(JSON.stringify([kind, id, 'deleted']))
  }
  const forgetOrder = (id: string): void => {
    const order = tables.order.get(id)
    for (const one of order?.authorizationIds ?? []) forget('authorization', one)
    if (order?.certificateId !== undefined) forget('certificate', order.certificateId)
    forget('order', id)
  }
  const oldestFinished = (): string | null => {
    for (const { id, certificateId } of tables.order.values())
      if (certificateId !== undefined) return id
    return null
  }
  const emptyAccount = (): string | null => {
    for (const { id, externalAccountBinding } of tables.account.values())
      if (!orders.has(id) && externalAccountBinding === undefined) return id
    return null
  }

  return {
    get: (kind, id) => table(kind).get(id),
    put(kind, resource) {
      insert(kind, resource)
      journal.add(JSON.stringify([kind, resource]))
    },
    delete: forget,
    all: (kind) => table(kind).values(),
    accountByThumbprint: (thumbprint) => tables.account.get(thumbprints.get(thumbprint) ?? ''),
    certificateBySerialNumber: (serialNumber) =>
      tables.certificate.get(serialNumbers.get(serialNumber) ?? ''),
    ordersOf: (accountId) =>
      [...(orders.get(accountId) ?? [])].flatMap((id) => tables.order.get(id) ?? []),
    unfinished,
    makeRoom() {
      while (unfinished.names > bounds.names) {
        forgetOrder(unfinished.next() ?? '')
      }
      while (tables.certificate.size > bounds.certificates) {
        const id = oldestFinished()
        if (id === null) break
        forgetOrder(id)
      }
      while (tables.account.size > bounds.accounts) {
        const id = emptyAccount()
        if (id === null) return
        forget('account', id)
      }
    },
    saved: () => journal.saved(),
    close: () => journal.close(),
  }
}

type Event = [kind: Kind, resource: Kinds[Kind]] | [kind: Kind, id: string, 'deleted']

function parseLine(line: string, path: string, number: number): Event {
  try {
    const event = JSON.parse(line) as Event
    const id: unknown = event.length === 2 ? event[1].id : event[1]
    const isWhole = event.length !== 2 || hasMembers(event[0], event[1])
    if (kinds.includes(event[0]) && typeof id === 'string' && isWhole) return event
  } catch (error) {
    throw damagedLine(path, number, error)
  }
  throw damagedLine(path, number)
}

/** What is gone through before anybody asks for a resource. */
function hasMembers(kind: Kind, resource: object): boolean {
  const member = (name: string): unknown => (resource as Record<string, unknown>)[name]
  const isText = (name: string): boolean => typeof member(name) === 'string'
  switch (kind) {
    case 'account':
      return isText('thumbprint')
    case 'order':
      return (
        isText('accountId') &&
        ['identifiers', 'authorizationIds'].every((name) => Array.isArray(member(name)))
      )
    case 'certificate':
      return ['serialNumber', 'orderId', 'issuers'].every(isText)
    case 'authorization':
      return Array.isArray(member('challenges'))
    case 'eabKey':
      return isText('key')
  }
}
