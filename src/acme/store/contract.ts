import type { Recording } from '../../certificates/issuer.ts'
import type {
  Account,
  Authorization,
  Challenge,
  EabKey,
  Order,
  StoredCertificate,
} from '../resources.ts'
import { bounds } from './bounds.ts'
import type { Kind, Kinds } from './tables.ts'
import type { Unfinished } from './unfinished.ts'

/**
 * What the ACME server knows: accounts, orders with their authorizations and certificates, keys for
 * external account binding, and used nonces. The adapters are `files.ts` (the default: a journal of
 * this machine) and `memory.ts` (tests, and servers that need not outlive their process).
 *
 * A request is one unit of work. Every adapter keeps these promises, which
 * test/acme/store/contract.ts tries on each:
 *
 * 1. A commit happens whole or not at all, the nonce included. What a unit put and did not commit
 *    never was.
 * 2. When `commit` answers `done`, the unit outlives a kill of this process. It does not surely
 *    outlive a power cut: a client repeats an order that is lost.
 * 3. Units that are opened after that see it, whichever process opens them. No unit sees another
 *    one that is not committed.
 * 4. A unit that puts something answers `conflict`, and changes nothing, where a resource that it
 *    got or put has changed since it was read, or where another account has taken the same key, or
 *    another certificate the same serial number. The caller does everything again, from `open`, with
 *    the same nonce. The lists of a unit (such as `ordersOf`) may be a moment old.
 * 5. A unit with `record` is one step with the authority's own record: after a kill at any moment,
 *    either both have the certificate or neither has.
 * 6. Nothing else is lost by a kill: a validation that was asked for is claimed by another process,
 *    or by the next one.
 * 7. An adapter forgets by itself what bounds.ts does not let it keep. It may forget an order a month
 *    after the order and its certificate ended, with all that belongs to it; so there is no call for
 *    that (files: whenever the journal is rewritten). It may forget an account that has no orders: at
 *    the bounds (files, memory), or a year after it was made, unless its client could not register
 *    again (a database, which keeps no bounds: what it holds does not have to fit into memory).
 */
export interface AcmeStore {
  /** Reads what a request will look at. */
  open(need: Need): Promise<Unit>
  /**
   * Reads what a request will look at that changes nothing, and uses up its nonce, in one step. `null`: the
   * nonce was used before. Its commit gets no nonce.
   */
  read(need: Need, nonce: string): Promise<Unit | null>
  /**
   * Opens a unit over what this process read and committed lately, without a step of the store; `null`: it
   * does not know all of that. It may show what is no longer so: its commit answers `conflict` then.
   * Absent: the store is in this process.
   */
  openRecent?(need: Need): Unit | null
  /** Replay nonces (RFC 8555 §6.5). Neither function reads or writes the store. */
  readonly nonces: {
    make(): string
    /** Whether a nonce was made here; `commit` says whether it was used. */
    isOurs(nonce: string): boolean
  }
  /**
   * Returns validations that were asked for, have no outcome, and are in no lease at `now`, and puts
   * into a lease until `until`, for this process to run. A lease that ends later than `longestLease`
   * after `now` counts as none: it was taken before the clock was set back.
   */
  claimValidations(now: number, until: number, limit: number): Promise<readonly Claim[]>
  /** Returns all keys for external account binding, oldest first, for an operator. */
  eabKeys(): Promise<readonly EabKey[]>
  /** Ends the use of the store. Everything that was committed is written. */
  close(): Promise<void>
}

/** What a unit will look at. What is not named here, the unit may not know. */
export interface Need {
  /** The ID of an account: with the key that it is bound to (its `eabKeyId`). */
  readonly account?: string | undefined
  /** The thumbprint of a key, whose account is wanted. */
  readonly thumbprint?: string | undefined
  readonly eabKey?: string | undefined
  /** The ID of an order: with its authorizations, and the certificate that it replaces. */
  readonly order?: string | undefined
  readonly authorization?: string | undefined
  /** The ID of a certificate. */
  readonly certificate?: string | undefined
  readonly serialNumber?: string | undefined
  /** The ID of an account whose latest orders are wanted, with their authorizations. */
  readonly ordersOf?: string | undefined
  /** With `ordersOf`: the ID of an order of the account, of which only older ones are wanted. */
  readonly ordersBefore?: string | undefined
  /** The ID of an account whose orders without a certificate are wanted, likewise. */
  readonly unfinishedOf?: string | undefined
}

/** What a request reads and changes. All is synchronous, except for the commit. */
export interface Unit {
  /** Returns a resource as it was read, or as this unit has put it; `undefined`: it is absent. */
  get<K extends Kind>(kind: K, id: string): Kinds[K] | undefined
  put<K extends Kind>(kind: K, resource: Kinds[K]): void
  accountByThumbprint(thumbprint: string): Account | undefined
  certificateBySerialNumber(serialNumber: string): StoredCertificate | undefined
  /**
   * The latest orders of an account, latest first, and no more than `mostOrders`. `before`: the ID of an
   * order, of which only older ones are returned; none where the account has no such order.
   */
  ordersOf(accountId: string, before?: string): readonly Order[]
  /** The orders without a certificate, of which an adapter may know the latest `mostUnfinished` alone. */
  readonly unfinished: Pick<Unfinished, 'namesOf' | 'ordersOf'>
  /** Says that this process validates a challenge until `until`; `claimValidations` leaves it out. */
  lease(authorizationId: string, challengeId: string, until: number): void
  /**
   * Makes the commit one step with the recording of the certificate that this unit puts. Where the
   * scopes have changed since it was signed, the commit answers `conflict`. It throws what keeps the
   * certificate from being recorded.
   */
  record(recording: Recording): void
  /**
   * Writes what was put, and uses up the nonce (`null`: there is none). `replayed`: the nonce was
   * used before, or is none of this server, and nothing is written. Call it once.
   */
  commit(nonce: string | null): Promise<Outcome>
}

export type Outcome = 'done' | 'conflict' | 'replayed'

/** A validation for this process to run. */
export interface Claim {
  readonly authorization: Authorization
  readonly challenge: Challenge
  readonly account: Account
}

/** The most orders that a unit reads of an account: those of a page, and one that says there are more. */
export const mostOrders = 501

/** The most orders without a certificate that a unit reads: each has a name, of which more are too many. */
export const mostUnfinished = bounds.namesOfAccount + 1

/** Returns the page of an account's orders, given all of them from the oldest to the latest. */
export function latestOrders(orders: readonly Order[], before?: string): readonly Order[] {
  const end = before === undefined ? orders.length : orders.findIndex(({ id }) => id === before)
  return orders.slice(Math.max(0, end - mostOrders), Math.max(0, end)).toReversed()
}

/** The longest lease that a process takes, in milliseconds. */
export const longestLease = 60_000

/** How often a unit is tried when it conflicts with others. */
export const mostAttempts = 10

/**
 * Runs a step over a unit without a nonce, and commits it; again, over a new unit, where it conflicts.
 * Returns what the step returned; `null` where it always conflicted.
 */
export async function commitStep<T>(
  store: AcmeStore,
  need: Need,
  step: (unit: Unit) => T,
): Promise<T | null> {
  for (let attempt = 0; attempt < mostAttempts; attempt++) {
    const unit = await store.open(need)
    const result = step(unit)
    if ((await unit.commit(null)) === 'done') return result
  }
  return null
}
