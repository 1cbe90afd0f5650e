import type { Order } from '../resources.ts'
import type { Need } from './contract.ts'
import { keyOf, type Known, type OpenOrder, type Snapshot } from './snapshot.ts'
import type { Kind, Kinds } from './tables.ts'

/**
 * What this process read or committed lately, so that the next request of the same order need not read it
 * again. Other processes may have changed it since: versions tell, when something is committed.
 */
export interface Recent {
  saw(kind: Kind, known: Known): void
  forget(kind: Kind, id: string): void
  /** Notes all orders of an account that have no certificate. */
  listed(account: string, unfinished: Snapshot['unfinishedOf']): void
  /** Returns all that a need names; `null`: something of that is not here. */
  snapshotFor(need: Need): Snapshot | null
}

/** How many resources are kept; most take about 1 KiB. */
const mostKept = 1_000
/** Orders of more names are read each time. */
const mostNames = 10
/**
 * An account with more names in orders without a certificate has them read each time. What other
 * processes add to fewer is not seen here, so for each process an account may pass its limit of names by
 * no more than this and one order.
 */
const mostUnfinishedNames = 20

export function createRecent(): Recent {
  const kept = new Map<string, Known>()
  /** Of accounts: the orders without a certificate, by ID. */
  const unfinished = new Map<string, Map<string, OpenOrder>>()
  const find = <K extends Kind>(kind: K, id: string): Kinds[K] | undefined =>
    kept.get(keyOf(kind, id))?.resource as Kinds[K] | undefined

  /** Returns the keys of what a need names; `null`: another request than those of one order. */
  function keysOf({
    account,
    order,
    authorization,
    unfinishedOf,
    ...others
  }: Need): string[] | null {
    if (unfinishedOf !== undefined && unfinishedOf !== account) return null
    if (account === undefined || Object.values(others).some((value) => value !== undefined))
      return null
    const keys = [keyOf('account', account)]
    const eabKey = find('account', account)?.eabKeyId
    if (eabKey !== undefined) keys.push(keyOf('eabKey', eabKey))
    if (authorization !== undefined) keys.push(keyOf('authorization', authorization))
    if (order !== undefined) {
      const { authorizationIds = [], replaces } = find('order', order) ?? {}
      // What it replaces is found by its serial number.
      if (replaces !== undefined) return null
      keys.push(keyOf('order', order), ...authorizationIds.map((id) => keyOf('authorization', id)))
    }
    return keys
  }

  function keepUnfinished(account: string, open: Map<string, OpenOrder>): void {
    unfinished.delete(account)
    const names = [...open.values()].reduce((sum, { identifiers }) => sum + identifiers.length, 0)
    if (names <= mostUnfinishedNames) unfinished.set(account, open)
    const [oldest = ''] = unfinished.size > mostKept ? unfinished.keys() : []
    unfinished.delete(oldest)
  }

  function sawOrder({ id, accountId, certificateId, identifiers }: Order): void {
    const open = unfinished.get(accountId)
    if (open === undefined) return
    if (certificateId === undefined) open.set(id, { id, identifiers })
    else open.delete(id)
    keepUnfinished(accountId, open)
  }

  return {
    saw(kind, known) {
      const { resource } = known
      if (kind === 'certificate') return
      if (kind === 'order') {
        const order = resource as Order
        sawOrder(order)
        if (order.identifiers.length > mostNames) return
      }
      const key = keyOf(kind, resource.id)
      kept.delete(key)
      kept.set(key, known)
      const [oldest = ''] = kept.size > mostKept ? kept.keys() : []
      kept.delete(oldest)
    },
    forget: (kind, id) => void kept.delete(keyOf(kind, id)),
    listed(account, orders) {
      const open = orders.map(({ id, identifiers }) => [id, { id, identifiers }] as const)
      keepUnfinished(account, new Map(open))
    },
    snapshotFor(need) {
      const keys = keysOf(need)
      if (keys === null) return null
      const known = new Map<string, Known>()
      for (const key of keys) {
        const one = kept.get(key)
        if (one === undefined) return null
        known.set(key, one)
      }
      const { unfinishedOf } = need
      if (unfinishedOf === undefined) return { known, ordersOf: [], unfinishedOf: [] }
      const open = unfinished.get(unfinishedOf)
      return open === undefined ? null : { known, ordersOf: [], unfinishedOf: [...open.values()] }
    },
  }
}
