import { isTrusted, readScopes, type Scope } from '../authority/scope.ts'
import { chosenKinds, trustOfScopes, type StoreOptions } from './machine-stores.ts'
import { allWell, type StoreOutcome } from './stores.ts'
import type { TrustWorld } from './world.ts'

export interface TrustStatus {
  /** Every scope; none: there is no authority. */
  readonly scopes: readonly Scope[]
  readonly outcomes: readonly StoreOutcome[]
  /** The kinds of stores that were asked; `undefined`: every kind. */
  readonly kinds: StoreOptions['kinds']
  /** Whether some store trusts the roots, and none on this machine failed or lacks one. */
  readonly isInstalled: boolean
  /** Whether a root that belongs into stores has expired. */
  readonly isExpired: boolean
}

/**
 * Asks every store that was chosen whether it trusts the roots of the authority. Changes nothing.
 */
export async function readTrustStatus(
  world: TrustWorld,
  options: StoreOptions,
): Promise<TrustStatus> {
  const scopes = await readScopes(world.state)
  const kinds = await chosenKinds(world.state, options)
  const trusted = scopes.filter(isTrusted)
  const outcomes =
    scopes.length === 0 ? [] : await trustOfScopes(world, { ...options, kinds }, trusted)
  return {
    scopes,
    outcomes,
    kinds,
    isInstalled: allWell(outcomes) && outcomes.some(({ outcome }) => outcome === 'trusted'),
    isExpired: trusted.some(({ rootNotAfter }) => rootNotAfter < world.now()),
  }
}
