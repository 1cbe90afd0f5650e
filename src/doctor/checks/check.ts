import type { Machine } from '../../../platform/machine.ts'
import type { TrustStore } from '../../../platform/trust-store.ts'
import type { Scope } from '../../authority/scope.ts'
import type { StoreOutcome } from '../../trust/stores.ts'
import type { TrustWorld } from '../../trust/world.ts'
import type { Inventory } from '../../storage/records.ts'
import type { Finding } from '../codes.ts'

/** What all checks look at, read once. */
export interface Known {
  readonly world: TrustWorld
  /** The directory whose project files, such as .npmrc, count; `null`: it was deleted. */
  readonly cwd: string | null
  readonly now: Date
  readonly machine: Machine
  /** The scopes that can be read. */
  readonly scopes: readonly Scope[]
  readonly inventory: Inventory
  readonly stores: readonly TrustStore[]
  /** What each store says of each root that belongs into stores. */
  readonly outcomes: readonly StoreOutcome[]
  /** Whether no store was chosen, as by `install --stores none`. */
  readonly chosenNone: boolean
  /** The scopes whose roots were never put into a store, or were taken out again. */
  readonly untrusted: readonly string[]
}

/** The result of one check. */
export interface Checked {
  /** What was looked at, such as `trust stores`. */
  readonly check: string
  readonly subjects: readonly string[]
  readonly findings: readonly Finding[]
}
