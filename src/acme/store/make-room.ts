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
  while (octetsOfOrders(tables) > bounds.octets) {
    const id = oldestFinished(tables)
    if (id === null) break
    forgetOrder(id)
  }
  while (octetsOfOrders(tables) > bounds.octets) {
    const id = tables.unfinished.next()
    if (id === null) break
    forgetOrder(id)
  }
  while (tables.count('account') > bounds.accounts) {
    const id = oldestEmptyAccount(tables)
    if (id === null) return
    forget('account', id)
  }
}

const octetsOfOrders = (tables: Tables): number =>
  tables.octets('order') + tables.octets('authorization') + tables.octets('certificate')

/** Returns the ID of the oldest order that has its certificate; `null` when there is none. */
function oldestFinished(tables: Tables): string | null {
  for (const { id, certificateId } of tables.all('order'))
    if (certificateId !== undefined) return id
  return null
}

/**
 * Returns the ID of the oldest account that has no orders and needed no operator's key; `null` when
 * there is none.
 */
function oldestEmptyAccount(tables: Tables): string | null {
  for (const { id, externalAccountBinding } of tables.all('account'))
    if (!tables.hasOrders(id) && externalAccountBinding === undefined) return id
  return null
}
