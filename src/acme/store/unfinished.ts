import type { Order } from '../resources.ts'

/** Which orders have no certificate, and how many names they have, by account. */
export interface Unfinished {
  readonly names: number
  namesOf(accountId: string): number
  /** IDs, oldest first. */
  ordersOf(accountId: string): readonly string[]
}

export interface UnfinishedIndex extends Unfinished {
  /** An order that is new or has changed. */
  note(order: Order): void
  forget(order: Order): void
  /** The oldest of the account that has the most names; `null`: there is none. */
  next(): string | null
}

interface Held {
  names: number
  readonly orders: Map<string, number>
}

export function indexUnfinished(): UnfinishedIndex {
  const accounts = new Map<string, Held>()
  let names = 0
  const forget = ({ id, accountId }: Order): void => {
    const held = accounts.get(accountId)
    const count = held?.orders.get(id)
    if (held === undefined || count === undefined) return
    held.orders.delete(id)
    held.names -= count
    names -= count
    if (held.orders.size === 0) accounts.delete(accountId)
  }
  return {
    get names() {
      return names
    },
    namesOf: (accountId) => accounts.get(accountId)?.names ?? 0,
    ordersOf: (accountId) => [...(accounts.get(accountId)?.orders.keys() ?? [])],
    note(order) {
      if (order.certificateId !== undefined) {
        forget(order)
        return
      }
      const held = accounts.get(order.accountId) ?? { names: 0, orders: new Map() }
      accounts.set(order.accountId, held)
      if (held.orders.has(order.id)) return
      const count = order.identifiers.length
      held.orders.set(order.id, count)
      held.names += count
      names += count
    },
    forget,
    next() {
      let largest: Held | null = null
      for (const held of accounts.values())
        if (largest === null || held.names > largest.names) largest = held
      return largest?.orders.keys().next().value ?? null
    },
  }
}
