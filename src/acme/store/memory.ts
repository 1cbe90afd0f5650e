import { randomBytes } from 'node:crypto'
import { readCertId } from '../cert-id.ts'
import type { Order } from '../resources.ts'
import { bounds } from './bounds.ts'
import {
  latestOrders,
  mostUnfinished,
  type AcmeStore,
  type Need,
  type Outcome,
  type Unit,
} from './contract.ts'
import type { Put } from './journal-line.ts'
import { createLeases, type Leases } from './leases.ts'
import { makeRoom } from './make-room.ts'
import { keyOf, unitOver, type Known, type Snapshot } from './snapshot.ts'
import { createTables, type Kind, type Kinds, type Tables } from './tables.ts'

/**
 * Creates a memory with nothing in it, and returns what opens stores over it: each is like a process of a
 * server that shares a database with others. The memory ends with this process. A unit sees what it needs
 * as it was when the unit was opened, and nothing else, so that units conflict as they would there.
 */
export function createMemory(): () => AcmeStore {
  const memory: Memory = {
    tables: createTables(),
    versions: new Map(),
    nonces: new Set(),
    leases: createLeases(),
    changes: 0,
    last: Promise.resolve(),
  }
  return () => ({
    open: (need) => Promise.resolve(openUnit(memory, need)),
    async read(need, nonce) {
      const unit = openUnit(memory, need)
      return (await unit.commit(nonce)) === 'done' ? unit : null
    },
    nonces: {
      make: () => makeNonce(memory.nonces),
      isOurs: (nonce) => memory.nonces.has(nonce),
    },
    claimValidations(now, until, limit) {
      const { tables, leases } = memory
      const accountOf = (id: string) => tables.get('account', id)
      return Promise.resolve(leases.claim(tables.validating(), accountOf, { now, until, limit }))
    },
    eabKeys: () => Promise.resolve([...memory.tables.all('eabKey')]),
    close: async () => void (await memory.last),
  })
}

interface Memory {
  readonly tables: Tables
  /** A number for each resource, by `keyOf`, which grows at each change. */
  readonly versions: Map<string, number>
  /** The nonces that are not used. */
  readonly nonces: Set<string>
  readonly leases: Leases
  changes: number
  /** The last commit. They follow each other, since one may have to wait for the record. */
  last: Promise<unknown>
}

function makeNonce(nonces: Set<string>): string {
  const nonce = randomBytes(16).toString('base64url')
  nonces.add(nonce)
  const [oldest = ''] = nonces
  if (nonces.size > bounds.nonces) nonces.delete(oldest)
  return nonce
}

/** Reads all that is needed, at once. */
function take({ tables, versions }: Memory, need: Need): Snapshot {
  const known = new Map<string, Known>()
  const see = <K extends Kind>(kind: K, id: string | undefined): Kinds[K] | undefined => {
    if (id === undefined) return undefined
    const key = keyOf(kind, id)
    const resource = tables.get(kind, id)
    if (resource !== undefined) known.set(key, { resource, version: versions.get(key) ?? 0 })
    return resource
  }
  const seeOrders = (orders: readonly Order[]): readonly Order[] => {
    for (const { id, authorizationIds } of orders) {
      see('order', id)
      for (const one of authorizationIds) see('authorization', one)
    }
    return orders
  }
  const seeSerialNumber = (serialNumber = ''): void =>
    void see('certificate', tables.certificateBySerialNumber(serialNumber)?.id)

  see('eabKey', see('account', need.account)?.eabKeyId)
  see('account', tables.accountByThumbprint(need.thumbprint ?? '')?.id)
  see('eabKey', need.eabKey)
  see('authorization', need.authorization)
  see('certificate', need.certificate)
  seeSerialNumber(need.serialNumber)
  const order = see('order', need.order)
  if (order !== undefined) seeOrders([order])
  seeSerialNumber(readCertId(order?.replaces ?? '')?.serialNumber)
  const unfinished = tables
    .ordersOf(need.unfinishedOf ?? '')
    .filter(({ certificateId }) => certificateId === undefined)
    .slice(-mostUnfinished)
  return {
    known,
    ordersOf: seeOrders(latestOrders(tables.ordersOf(need.ordersOf ?? ''), need.ordersBefore)),
    unfinishedOf: seeOrders(unfinished),
  }
}

function openUnit(memory: Memory, need: Need): Unit {
  const { unit, puts, looked, versionOf } = unitOver(take(memory, need))
  let write: (() => Promise<boolean>) | null = null
  let lease = (): void => undefined
  return {
    ...unit,
    lease: (...of) => (lease = () => memory.leases.take(...of)),
    record: (recording) => (write = recording.write),
    commit(nonce) {
      const isStale = (): boolean =>
        [...looked.keys(), ...puts.keys()].some(
          (key) => (memory.versions.get(key) ?? 0) !== versionOf(key),
        )
      const work = async (): Promise<Outcome> => {
        if (nonce !== null && !memory.nonces.has(nonce)) return 'replayed'
        const changes = [...puts.values()]
        if (changes.length > 0 && (isStale() || changes.some((put) => isTaken(memory, put))))
          return 'conflict'
        if (write !== null && !(await write())) return 'conflict'
        if (nonce !== null) memory.nonces.delete(nonce)
        apply(memory, changes)
        lease()
        return 'done'
      }
      const outcome = memory.last.then(work)
      memory.last = outcome.catch(() => undefined)
      return outcome
    },
  }
}

/** Whether another resource has the key, or the serial number, that only one may have. */
function isTaken({ tables }: Memory, [, resource]: Put): boolean {
  let holder: { readonly id: string } | undefined
  if ('thumbprint' in resource) holder = tables.accountByThumbprint(resource.thumbprint)
  if ('serialNumber' in resource) holder = tables.certificateBySerialNumber(resource.serialNumber)
  return holder !== undefined && holder.id !== resource.id
}

function apply(memory: Memory, puts: readonly Put[]): void {
  const { tables, versions } = memory
  for (const [kind, resource] of puts) {
    tables.put(kind, resource, Buffer.byteLength(JSON.stringify(resource)))
    versions.set(keyOf(kind, resource.id), ++memory.changes)
  }
  makeRoom(tables, (kind, id) => {
    tables.delete(kind, id)
    versions.delete(keyOf(kind, id))
  })
}
