import type { Order } from '../resources.ts'
import type { Unit } from './contract.ts'
import type { Put } from './journal-line.ts'
import type { Kind, Kinds } from './tables.ts'

/** What a unit has read: resources with their versions, and lists. All else is absent to it. */
export interface Snapshot {
  /** By `keyOf`. */
  readonly known: ReadonlyMap<string, Known>
  /** Latest first. */
  readonly ordersOf: readonly Order[]
  readonly unfinishedOf: readonly OpenOrder[]
}

/** What counts of an order without a certificate. */
export type OpenOrder = Pick<Order, 'id' | 'identifiers'>

export interface Known {
  readonly resource: Kinds[Kind]
  /** At least 1. */
  readonly version: number
}

export const keyOf = (kind: Kind, id: string): string => `${kind} ${id}`

/** A unit over a snapshot, before its commit. */
export interface SnapshotUnit {
  readonly unit: Omit<Unit, 'lease' | 'record' | 'commit'>
  /** What the unit has put, and what it has looked at, by `keyOf`. */
  readonly puts: ReadonlyMap<string, Put>
  readonly looked: ReadonlyMap<string, readonly [kind: Kind, id: string]>
  /** The version that was read of a resource; 0: it was absent. */
  readonly versionOf: (key: string) => number
}

export function unitOver({ known, ordersOf, unfinishedOf }: Snapshot): SnapshotUnit {
  const puts = new Map<string, Put>()
  const looked = new Map<string, readonly [Kind, string]>()

  function get<K extends Kind>(kind: K, id: string): Kinds[K] | undefined {
    const key = keyOf(kind, id)
    looked.set(key, [kind, id])
    return (puts.get(key)?.[1] ?? known.get(key)?.resource) as Kinds[K] | undefined
  }
  function find<K extends Kind>(
    kind: K,
    fits: (resource: Kinds[K]) => boolean,
  ): Kinds[K] | undefined {
    for (const [key, { resource }] of known)
      if (key.startsWith(`${kind} `) && fits(resource as Kinds[K])) return get(kind, resource.id)
    return undefined
  }
  const unit: SnapshotUnit['unit'] = {
    get,
    put: (kind, resource) => void puts.set(keyOf(kind, resource.id), [kind, resource]),
    accountByThumbprint: (wanted) => find('account', ({ thumbprint }) => thumbprint === wanted),
    certificateBySerialNumber: (wanted) =>
      find('certificate', ({ serialNumber }) => serialNumber === wanted),
    ordersOf: () => ordersOf,
    unfinished: {
      namesOf: () => unfinishedOf.reduce((sum, { identifiers }) => sum + identifiers.length, 0),
      ordersOf: () => unfinishedOf.map(({ id }) => id),
    },
  }
  return { unit, puts, looked, versionOf: (key) => known.get(key)?.version ?? 0 }
}
