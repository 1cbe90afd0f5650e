import type { Order } from '../resources.ts'
import type { Index } from './indices.ts'

/** The orders without a certificate, and how many names they have, by account. */
export interface Unfinished {
  /** The number of names in all of these orders. */
  readonly names: number
  namesOf(accountId: string): number
  /** The IDs of an account's orders, oldest first. */
  ordersOf(accountId: string): readonly string[]
}

export interface UnfinishedIndex extends Unfinished, Index<Order> {
  /**
   * Returns the ID of the oldest order of the account that has the most names; `null` when there is
   * no order.
   */
  next(): string | null
}

interface OpenOrders {
  names: number
  /** The number of names of each order, by its ID. */
  readonly orders: Map<string, number>
}

export function indexUnfinished(): UnfinishedIndex {
  const accounts = new Map<string, OpenOrders>()
  let names = 0
  const remove = ({ id, accountId }: Order): void => {
    const open = accounts.get(accountId)
    const count = open?.orders.get(id)
    if (open === undefined || count === undefined) return
    open.orders.delete(id)
    open.names -= count
    names -= count
    if (open.orders.size === 0) accounts.delete(accountId)
  }
  return {
    get names() {
      return names
    },
    namesOf: (accountId) => accounts.get(accountId)?.names ?? 0,
    ordersOf: (accountId) => [...(accounts.get(accountId)?.orders.keys() ?? [])],
    add(order) {
      if (order.certificateId !== undefined) {
        remove(order)
        return
      }
      const open = accounts.get(order.accountId) ?? { names: 0, orders: new Map() }
      accounts.set(order.accountId, open)
      if (open.orders.has(order.id)) return
      const count = order.identifiers.length
      open.orders.set(order.id, count)
      open.names += count
      names += count
    },
    remove,
    next() {
      let largest: OpenOrders | null = null
      for (const open of accounts.values())
        if (largest === null || open.names > largest.names) largest = open
      return largest?.orders.keys().next().value ?? null
    },
  }
}
