import type { Account, Authorization, EabKey, Order, StoredCertificate } from '../resources.ts'
import {
  indexOrders,
  indexSerialNumbers,
  indexThumbprints,
  indexValidating,
  type Index,
} from './indices.ts'
import { packAuthorization, unpackAuthorization, type PackedAuthorization } from './packed.ts'
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
  /** The octets of all resources of a kind. */
  octets(kind: Kind): number
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
  const tables = {
    account: createTable<Account>([thumbprints]),
    order: createTable<Order>([orders, unfinished]),
    authorization: createAuthorizations(validating),
    certificate: createTable<StoredCertificate>([serialNumbers], sharedIssuers()),
    eabKey: createTable<EabKey>([]),
  }
  const { account, order, authorization, certificate } = tables
  const of: { readonly [K in Kind]: Table<Kinds[K]> } = tables
  return {
    get: (kind, id) => of[kind].get(id),
    all: (kind) => of[kind].all(),
    count: (kind) => of[kind].count(),
    octets: (kind) => of[kind].octets(),
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
  octets(): number
  put(resource: T, octets: number): void
  delete(id: string): void
}

/** Creates a table. `kept` returns the form in which the table keeps a resource. */
function createTable<T extends { readonly id: string }>(
  indices: readonly Index<T>[],
  kept = (resource: T): T => resource,
): Table<T> {
  const rows = new Map<string, T>()
  const sizes = new Map<string, number>()
  let sum = 0
  return {
    get: (id) => rows.get(id),
    all: () => rows.values(),
    count: () => rows.size,
    octets: () => sum,
    put(resource, octets) {
      for (const index of indices) index.add(resource, rows.get(resource.id))
      rows.set(resource.id, kept(resource))
      sum += octets - (sizes.get(resource.id) ?? 0)
      sizes.set(resource.id, octets)
    },
    delete(id) {
      const resource = rows.get(id)
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
    octets: () => sum,
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
function sharedIssuers(): (certificate: StoredCertificate) => StoredCertificate {
  const known = new Map<string, string>()
  return (certificate) => {
    const issuers = known.get(certificate.issuers) ?? certificate.issuers
    known.set(issuers, issuers)
    return { ...certificate, issuers }
  }
}
