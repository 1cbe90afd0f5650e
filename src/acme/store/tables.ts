import type {
  Account,
  AcmeIdentifier,
  Authorization,
  EabKey,
  Order,
  StoredCertificate,
} from '../resources.ts'
import {
  indexOrders,
  indexSerialNumbers,
  indexThumbprints,
  indexValidating,
  type Index,
} from './indices.ts'
import {
  packAuthorization,
  packNames,
  unpackAuthorization,
  unpackNames,
  type PackedAuthorization,
} from './packed.ts'
import { indexUnfinished, type UnfinishedIndex } from './unfinished.ts'

/** The kinds of resources, by their names in the journal. */
export interface Kinds {
  readonly account: Account
  readonly order: Order
  readonly authorization: Authorization
  readonly certificate: StoredCertificate
  readonly eabKey: EabKey
}
export type Kind = keyof Kinds
export const kinds: readonly Kind[] = ['account', 'order', 'authorization', 'certificate', 'eabKey']

/** All resources in memory, the oldest of each kind first, with the ways to find them. */
export interface Tables {
  get<K extends Kind>(kind: K, id: string): Kinds[K] | undefined
  all<K extends Kind>(kind: K): Iterable<Kinds[K]>
  count(kind: Kind): number
  /** The octets of all resources of a kind, or of the one with an ID. */
  octets(kind: Kind, id?: string): number
  /**
   * Adds a resource of so many octets, or replaces the one with its ID. The octets of an authorization
   * are those of its text.
   */
  put<K extends Kind>(kind: K, resource: Kinds[K], octets: number): void
  /** Returns the text of a `PackedAuthorization`; `''`: there is none. */
  authorizationText(id: string): string
  /** Deletes a resource; does nothing when it is absent. */
  delete(kind: Kind, id: string): void
  accountByThumbprint(thumbprint: string): Account | undefined
  certificateBySerialNumber(serialNumber: string): StoredCertificate | undefined
  /** The orders of an account, oldest first. */
  ordersOf(accountId: string): readonly Order[]
  hasOrders(accountId: string): boolean
  readonly unfinished: UnfinishedIndex
  /** The authorizations with a challenge whose validation was asked for and has no outcome. */
  validating(): Iterable<Authorization>
}

export function createTables(): Tables {
  const thumbprints = indexThumbprints()
  const serialNumbers = indexSerialNumbers()
  const orders = indexOrders()
  const unfinished = indexUnfinished()
  const validating = indexValidating()
  const issuers = sharedTexts()
  const account = createTable<Account, Account>([thumbprints], same, same)
  const order = createTable<Order, WithNames<Order>>(
    [orders, unfinished],
    (resource, previous) => packed(resource, previous?.names),
    unpacked,
  )
  const authorization = createAuthorizations(validating)
  const certificate = createTable<StoredCertificate, WithNames<StoredCertificate>>(
    [serialNumbers],
    (one) => packed({ ...one, issuers: issuers(one.issuers) }, order.kept(one.orderId)?.names),
    unpacked,
  )
  const eabKey = createTable<EabKey, EabKey>([], same, same)
  const tables = { account, order, authorization, certificate, eabKey }
  const of: { readonly [K in Kind]: Table<Kinds[K]> } = tables
  return {
    get: (kind, id) => of[kind].get(id),
    all: (kind) => of[kind].all(),
    count: (kind) => of[kind].count(),
    octets: (kind, id) => of[kind].octets(id),
    put: (kind, resource, octets) => of[kind].put(resource, octets),
    authorizationText: (id) => authorization.textOf(id),
    delete: (kind, id) => of[kind].delete(id),
    accountByThumbprint: (thumbprint) => account.get(thumbprints.idOf(thumbprint) ?? ''),
    certificateBySerialNumber: (number) => certificate.get(serialNumbers.idOf(number) ?? ''),
    ordersOf: (accountId) => [...orders.of(accountId)].flatMap((id) => order.get(id) ?? []),
    hasOrders: (accountId) => orders.has(accountId),
    unfinished,
    validating: () => [...validating.ids()].flatMap((id) => authorization.get(id) ?? []),
  }
}

/** The resources of one kind. */
interface Table<T> {
  get(id: string): T | undefined
  all(): Iterable<T>
  count(): number
  octets(id?: string): number
  put(resource: T, octets: number): void
  delete(id: string): void
}

const same = <T>(resource: T): T => resource

/** A resource without its names, and these as one text. */
interface WithNames<T> {
  readonly rest: T
  readonly names: string
}

/** Returns a resource with its names as one text: `shared`, where that is the same. */
function packed<T extends { readonly identifiers: readonly AcmeIdentifier[] }>(
  resource: T,
  shared: string | undefined,
): WithNames<T> {
  const names = packNames(resource.identifiers)
  return { rest: { ...resource, identifiers: [] }, names: names === shared ? shared : names }
}

const unpacked = <T>({ rest, names }: WithNames<T>): T => ({
  ...rest,
  identifiers: unpackNames(names),
})

/** Creates a table. `pack` returns the form in which it keeps a resource, and `unpack` undoes that. */
function createTable<T extends { readonly id: string }, Kept>(
  indices: readonly Index<T>[],
  pack: (resource: T, previous: Kept | undefined) => Kept,
  unpack: (kept: Kept) => T,
): Table<T> & { kept(id: string): Kept | undefined } {
  const rows = new Map<string, Kept>()
  const get = (id: string): T | undefined => {
    const row = rows.get(id)
    return row === undefined ? undefined : unpack(row)
  }
  const sizes = new Map<string, number>()
  let sum = 0
  return {
    get,
    kept: (id) => rows.get(id),
    *all() {
      for (const row of rows.values()) yield unpack(row)
    },
    count: () => rows.size,
    octets: (id) => (id === undefined ? sum : (sizes.get(id) ?? 0)),
    put(resource, octets) {
      for (const index of indices) index.add(resource, get(resource.id))
      rows.set(resource.id, pack(resource, rows.get(resource.id)))
      sum += octets - (sizes.get(resource.id) ?? 0)
      sizes.set(resource.id, octets)
    },
    delete(id) {
      const resource = get(id)
      if (resource === undefined) return
      for (const index of indices) index.remove(resource)
      rows.delete(id)
      sum -= sizes.get(id) ?? 0
      sizes.delete(id)
    },
  }
}

/**
 * Keeps authorizations as JSON, `[accountId, ...]` with the members of a `PackedAuthorization` behind its
 * ID, and parses one whenever it is asked for: an order of 100 names has as many.
 */
function createAuthorizations(
  index: Index<Authorization>,
): Table<Authorization> & { textOf(id: string): string } {
  const rows = new Map<string, string>()
  let sum = 0
  const unpack = (id: string, row: string): Authorization => {
    const [accountId, ...rest] = JSON.parse(row) as PackedAuthorization
    return unpackAuthorization(accountId, [id, ...rest])
  }
  const octetsOf = (id: string, row?: string): number =>
    row === undefined ? 0 : id.length + row.length
  return {
    count: () => rows.size,
    octets: (id) => (id === undefined ? sum : octetsOf(id, rows.get(id))),
    get(id) {
      const row = rows.get(id)
      return row === undefined ? undefined : unpack(id, row)
    },
    textOf(id) {
      const row = rows.get(id)
      if (row === undefined) return ''
      const [, ...rest] = JSON.parse(row) as PackedAuthorization
      return JSON.stringify([id, ...rest])
    },
    *all() {
      for (const [id, row] of rows) yield unpack(id, row)
    },
    put(authorization) {
      index.add(authorization, undefined)
      const { id, accountId } = authorization
      const [, ...rest] = packAuthorization(authorization)
      const row = JSON.stringify([accountId, ...rest])
      sum += octetsOf(id, row) - octetsOf(id, rows.get(id))
      rows.set(id, row)
    },
    delete(id) {
      const row = rows.get(id)
      if (row === undefined) return
      index.remove(unpack(id, row))
      sum -= octetsOf(id, row)
      rows.delete(id)
    },
  }
}

/**
 * Makes certificates share the text of their issuers, a few thousand octets that are the same for
 * nearly all certificates.
 */
function sharedTexts(): (text: string) => string {
  const known = new Map<string, string>()
  return (text) => {
    const shared = known.get(text) ?? text
    known.set(shared, shared)
    return shared
  }
}
