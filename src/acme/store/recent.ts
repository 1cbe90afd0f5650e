import type { Order } from '../resources.ts'
import type { Need } from './contract.ts'
import { keyOf, type Known, type Snapshot } from './snapshot.ts'
import type { Kind, Kinds } from './tables.ts'

/**
 * What this process read or committed lately, so that the next request of the same order need not read it
 * again. Other processes may have changed it since: versions tell, when something is committed.
 */
export interface Recent {
  saw(kind: Kind, known: Known): void
  forget(kind: Kind, id: string): void
  /** Returns all that a need names; `null`: something of that is not here. */
  snapshotFor(need: Need): Snapshot | null
}

/** How many resources are kept; most take about 1 KiB. */
const mostKept = 1_000
/** Orders of more names are read each time. */
const mostNames = 10

export function createRecent(): Recent {
  const kept = new Map<string, Known>()
  const find = <K extends Kind>(kind: K, id: string): Kinds[K] | undefined =>
    kept.get(keyOf(kind, id))?.resource as Kinds[K] | undefined

  /** Returns the keys of what a need names; `null`: another request than those of one order. */
  function keysOf({ account, order, authorization, ...others }: Need): string[] | null {
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

  return {
    saw(kind, known) {
      const { resource } = known
      if (kind === 'certificate') return
      if (kind === 'order' && (resource as Order).identifiers.length > mostNames) return
      const key = keyOf(kind, resource.id)
      kept.delete(key)
      kept.set(key, known)
      const [oldest = ''] = kept.size > mostKept ? kept.keys() : []
      kept.delete(oldest)
    },
    forget: (kind, id) => void kept.delete(keyOf(kind, id)),
    snapshotFor(need) {
      const keys = keysOf(need)
      if (keys === null) return null
      const known = new Map<string, Known>()
      for (const key of keys) {
        const one = kept.get(key)
        if (one === undefined) return null
        known.set(key, one)
      }
      return { known, ordersOf: [], unfinishedOf: [] }
    },
  }
}
