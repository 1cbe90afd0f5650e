import {
  challengeStatus,
  type Account,
  type Authorization,
  type Order,
  type StoredCertificate,
} from '../resources.ts'

/**
 * A way to find resources of one kind. The table calls it for each resource that is put or deleted.
 */
export interface Index<T> {
  /** Adds a resource; `previous` is the resource with the same ID that it replaces. */
  add(resource: T, previous: T | undefined): void
  remove(resource: T): void
}

export interface IdIndex<T> extends Index<T> {
  idOf(key: string): string | undefined
}

/** Finds account IDs by the thumbprint of the key, which the account can change. */
export function indexThumbprints(): IdIndex<Account> {
  const ids = new Map<string, string>()
  return {
    add({ id, thumbprint }, previous) {
      if (previous !== undefined) ids.delete(previous.thumbprint)
      ids.set(thumbprint, id)
    },
    remove: ({ thumbprint }) => void ids.delete(thumbprint),
    idOf: (thumbprint) => ids.get(thumbprint),
  }
}

/** Finds certificate IDs by serial number. */
export function indexSerialNumbers(): IdIndex<StoredCertificate> {
  const ids = new Map<string, string>()
  return {
    add: ({ id, serialNumber }) => void ids.set(serialNumber, id),
    remove: ({ serialNumber }) => void ids.delete(serialNumber),
    idOf: (serialNumber) => ids.get(serialNumber),
  }
}

/** Finds the authorizations with a challenge that is being validated. */
export function indexValidating(): Index<Authorization> & { ids(): Iterable<string> } {
  const ids = new Set<string>()
  return {
    add({ id, challenges }) {
      if (challenges.some((one) => challengeStatus(one) === 'processing')) ids.add(id)
      else ids.delete(id)
    },
    remove: ({ id }) => void ids.delete(id),
    ids: () => ids,
  }
}

export interface OrdersByAccount extends Index<Order> {
  /** The IDs of an account's orders, oldest first. */
  of(accountId: string): Iterable<string>
  has(accountId: string): boolean
}

/** Finds order IDs by account. */
export function indexOrders(): OrdersByAccount {
  const accounts = new Map<string, Set<string>>()
  return {
    add({ id, accountId }) {
      const ids = accounts.get(accountId) ?? new Set()
      accounts.set(accountId, ids.add(id))
    },
    remove({ id, accountId }) {
      const ids = accounts.get(accountId)
      ids?.delete(id)
      if (ids?.size === 0) accounts.delete(accountId)
    },
    of: (accountId) => accounts.get(accountId) ?? [],
    has: (accountId) => accounts.has(accountId),
  }
}
