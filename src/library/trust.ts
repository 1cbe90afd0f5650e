import type { DescribedScope } from '../authority/describe-scope.ts'
import type { DescribedStaleRoot } from '../trust/stale-roots.ts'
import type { StoreKind } from '../../platform/trust-store.ts'
import type { StoreSelection } from './options.ts'
import { openState } from './state.ts'

/** What was found in one store, or done to it, about one root. */
export interface StoreReport {
  /** The store. */
  readonly store: {
    /** Tells it from the other stores of this machine. */
    readonly id: string
    /** What keeps it. */
    readonly kind: StoreKind
    /** Its name for people. */
    readonly title: string
  }
  /** The root's name in the store; `null`: the report is about the store as a whole. */
  readonly anchor: string | null
  /** `skipped`: no such store is on this machine, or it cannot hold the root. */
  readonly outcome:
    | 'installed'
    | 'already-installed'
    | 'removed'
    | 'was-absent'
    | 'trusted'
    | 'not-trusted'
    | 'would-install'
    | 'would-remove'
    | 'skipped'
    | 'failed'
  /** Why the store failed or was skipped, in one sentence. */
  readonly reason?: string
  /** What a person can type next. */
  readonly hint?: string
  /** The program that is missing, and the command that installs it. */
  readonly tool?: {
    /** Its name, such as `certutil`. */
    readonly program: string
    /** The words of the command; `null`: none is known for this system. */
    readonly install: readonly string[] | null
  }
}

/** What the trust stores of this machine say of the authority. */
export interface TrustStatus {
  /**
   * Whether programs trust the authority: some store trusts its roots, no store on this machine
   * failed or lacks one, and no root has expired. `rootling status` exits 0 where it is true.
   */
  readonly isTrusted: boolean
  /** The state directory. */
  readonly home: string
  /** Every scope of the authority; none: there is no authority yet. */
  readonly scopes: readonly DescribedScope[]
  /** `trusted`, `not-trusted`, `skipped` or `failed`, for each root in each store. */
  readonly stores: readonly StoreReport[]
  /** The kinds of stores that were asked; `null`: every kind. */
  readonly kinds: readonly StoreKind[] | null
}

/**
 * Asks every trust store of this machine whether it trusts the roots of the authority. Changes
 * nothing, and asks the person nothing. A store that cannot be asked does not throw: its outcome is
 * `failed`, and its `reason` says why. Throws `usage` for options that mean nothing,
 * `file-unreadable`, `corrupt-state` and `newer-state`.
 *
 * @example
 * import { trustStatus } from 'rootling'
 *
 * const { isTrusted, stores } = await trustStatus()
 * if (!isTrusted)
 *   for (const { store, outcome } of stores) console.log(`${store.title}: ${outcome}`)
 */
export async function trustStatus(options: StoreSelection = {}): Promise<TrustStatus> {
  const [
    { completerOf, plain, silentWorld, storeOptionsOf },
    { readTrustStatus },
    { describeScope },
  ] = await Promise.all([
    import('./world.ts'),
    import('../trust/status.ts'),
    import('../authority/describe-scope.ts'),
  ])
  const world = await silentWorld(options)
  const { scopes, outcomes, kinds, isInstalled, isExpired } = await readTrustStatus(
    world,
    storeOptionsOf(options),
  )
  const status: TrustStatus = {
    isTrusted: isInstalled && !isExpired,
    home: world.state.path,
    scopes: scopes.map(describeScope),
    stores: outcomes,
    kinds: kinds ?? null,
  }
  return plain(status, completerOf(options))
}

/** The options of `trust`. */
export interface TrustOptions extends StoreSelection {
  /**
   * Whether programs may be run as root by `sudo -n`, which never asks for a password. Default:
   * `false`; then a store that needs root is reported as `failed`, unless this process is root.
   */
  readonly sudo?: boolean
}

/** What `trust` did. */
export interface TrustReport {
  /**
   * Whether programs trust the authority now: some store trusts its roots, no store on this machine
   * failed, and no root has expired.
   */
  readonly isTrusted: boolean
  /** Whether this call created the authority. */
  readonly created: boolean
  /** The scopes whose roots were installed. */
  readonly scopes: readonly DescribedScope[]
  /**
   * `installed`, `already-installed`, `skipped` or `failed`, for each root in each store. The `hint`
   * of a store that failed is the command to type.
   */
  readonly stores: readonly StoreReport[]
  /** The kinds of stores that were used; `null`: every kind. */
  readonly kinds: readonly StoreKind[] | null
  /** Roots of Rootling that the stores hold and no authority here has. */
  readonly stale: readonly DescribedStaleRoot[]
}

/**
 * Does what `rootling install` does: creates the authority where there is none, and puts its roots
 * into the trust stores of this machine. Asks the person nothing: what needs a password, a dialog of
 * the system or a program that is not installed is not done. Such a store does not throw: its outcome
 * is `failed`, `reason` says why, and `hint` is the command that a person can type. `rootling
 * uninstall` takes the roots out again. Throws `usage` for options that mean nothing,
 * `file-unreadable`, `corrupt-state`, `newer-state`, `state-unwritable` and `locked`.
 *
 * @example
 * import { trust } from 'rootling'
 *
 * const { stores } = await trust()
 * for (const { store, outcome, hint } of stores)
 *   if (outcome === 'failed') console.log(`${store.title} was left out. To add it: ${hint}`)
 */
export async function trust(options: TrustOptions = {}): Promise<TrustReport> {
  const [
    { completerOf, plain, silentWorld, storeOptionsOf },
    { installAuthority },
    { allWell },
    { describeStale },
    { describeScope },
  ] = await Promise.all([
    import('./world.ts'),
    import('../trust/install.ts'),
    import('../trust/stores.ts'),
    import('../trust/stale-roots.ts'),
    import('../authority/describe-scope.ts'),
  ])
  const selected = storeOptionsOf(options)
  const world = await silentWorld(options)
  await openState(options)
  const sudo = options.sudo === true ? 'allowed' : 'forbidden'
  const installation = await installAuthority(world, { ...selected, sudo }, null)
  const { created, scopes, outcomes, kinds, stale = [] } = installation
  const isHeld = outcomes.some(
    ({ outcome }) => outcome === 'installed' || outcome === 'already-installed',
  )
  const isExpired = scopes.some(({ rootNotAfter }) => rootNotAfter < world.now())
  const report: TrustReport = {
    isTrusted: allWell(outcomes) && isHeld && !isExpired,
    created,
    scopes: scopes.map(describeScope),
    stores: outcomes,
    kinds: kinds ?? null,
    stale: stale.map(describeStale),
  }
  return plain(report, completerOf(options))
}
