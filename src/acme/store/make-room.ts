import { eabKeyOf } from '../external-account.ts'
import { bounds } from './bounds.ts'
import type { Kind, Tables } from './tables.ts'

/** Calls `forget` for the oldest resources until all bounds are kept. */
export function makeRoom(tables: Tables, forget: (kind: Kind, id: string) => void): void {
  const forgetOrder = (id: string): void => {
    const order = tables.get('order', id)
    for (const one of order?.authorizationIds ?? []) forget('authorization', one)
    if (order?.certificateId !== undefined) forget('certificate', order.certificateId)
    forget('order', id)
  }
  while (tables.unfinished.names > bounds.names) forgetOrder(tables.unfinished.next() ?? '')
  forgetAccounts(tables, forget)
  for (const next of [() => oldestFinished(tables), () => tables.unfinished.next()])
    while (octetsOf(tables) > bounds.octets) {
      const id = next()
      if (id === null) break
      forgetOrder(id)
      forgetAccounts(tables, forget)
    }
}

const octetsOf = (tables: Tables): number =>
  (['account', 'order', 'authorization', 'certificate'] as const).reduce(
    (sum, kind) => sum + tables.octets(kind),
    0,
  )

/** Returns the ID of the oldest order that has its certificate; `null` when there is none. */
function oldestFinished(tables: Tables): string | null {
  for (const { id, certificateId } of tables.all('order'))
    if (certificateId !== undefined) return id
  return null
}

/**
 * Forgets the oldest accounts without orders of the EAB key whose accounts take the most octets, while
 * there are too many accounts, so that the holder of one key pushes out no account of others. Accounts
 * that need no key count as those of one. A key's newest account stays, since its client is about to
 * order. The bounds of orders limit the accounts that have some.
 */
function forgetAccounts(tables: Tables, forget: (kind: Kind, id: string) => void): void {
  const isFull = (): boolean =>
    tables.count('account') > bounds.accounts || tables.octets('account') > bounds.octetsOfAccounts
  if (!isFull()) return
  const byKey = new Map<string | undefined, { octets: number; readonly empty: string[] }>()
  for (const account of tables.all('account')) {
    const key = eabKeyOf(account)
    const those = byKey.get(key) ?? { octets: 0, empty: [] }
    byKey.set(key, those)
    those.octets += tables.octets('account', account.id)
    if (!tables.hasOrders(account.id)) those.empty.push(account.id)
  }
  while (isFull()) {
    const most = [...byKey.values()].reduce((a, b) => (b.octets > a.octets ? b : a))
    const [id, newer] = most.empty
    if (id === undefined || newer === undefined) return
    most.empty.shift()
    most.octets -= tables.octets('account', id)
    forget('account', id)
  }
}
