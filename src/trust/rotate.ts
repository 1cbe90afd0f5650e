import { makeScope } from '../authority/ceremony.ts'
import { checkPermit, permitsAll, type PermitRequest } from '../authority/create.ts'
import { isTrusted, noScope, openScope, type Scope } from '../authority/scope.ts'
import { runRenewHooks, type HookOutcome } from '../certificates/renew-hooks.ts'
import { newlyMade, renew, type Renewal } from '../certificates/renew.ts'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { updateBundles } from '../runtimes/bundles.ts'
import { updateAllRoots } from '../storage/files/all-roots.ts'
import { exclusively } from '../storage/files/unfinished-writes.ts'
import {
  createScope,
  deleteScope,
  rotationParts,
  scopeNames,
  switchScope,
} from '../storage/files/scopes.ts'
import {
  decideRotation,
  effectsOf,
  holdsCertificateOf,
  planRotation,
  type RotationRequest,
} from './decide-rotation.ts'
import {
  anchorOf,
  chosenKinds,
  openStores,
  withStoresLock,
  type StoreOptions,
} from './machine-stores.ts'
import type { RotationEffects } from './rotation-plan.ts'
import { allWell, installAnchors, type StoreOutcome } from './stores.ts'
import { removeAnchors } from './uninstall.ts'
import { confirmOrCancel, type TrustWorld } from './world.ts'

/**
 * A rotation that has begun: the two scopes, and whether new certificates already come from the new
 * one.
 */
export interface Rotation {
  /** The scope that is replaced. */
  readonly old: Scope
  /** The scope that replaces it. */
  readonly next: Scope
  /** Whether new certificates already come from `next`. */
  readonly switched: boolean
}

/**
 * How far a rotation came. Calling `rotate` again continues one that stopped, whatever the reason.
 */
export interface RotationResult {
  readonly old: Scope
  readonly next: Scope
  /**
   * The step that failed; `null`: the rotation is finished. `install`: the new root is not in every
   * store. `renew`: certificates still need the old root. `remove`: a store still holds the old
   * root.
   */
  readonly stoppedAt: 'install' | 'renew' | 'remove' | null
  /**
   * The outcomes of installing the new root; when `stoppedAt` is `remove`, those of removing the
   * old root; when the rotation is finished, both.
   */
  readonly outcomes: readonly StoreOutcome[]
  readonly renewals: readonly Renewal[]
  /** The outcomes of the `--on-renew` commands of the renewed certificates. */
  readonly hooks: readonly HookOutcome[]
  /** `null`: new certificates still come from the old scope. */
  readonly effects: RotationEffects | null
}

/**
 * Replaces a scope's root and intermediate by new ones with new subjects and keys, without a moment
 * in which a certificate is not trusted. First asks the person, who is shown the plan. Every step can be repeated after an interruption: make the
 * new scope beside the old, install the new root, switch (new certificates come from the new
 * scope), renew the old certificates, remove the old root, delete the old scope. `harden` says
 * whether the new scope is hardened; default: as the old one is. `add`: domains and ranges that the new
 * scope permits too. Throws `cancelled`, `no-scope`, and `usage`
 * where the new scope cannot be hardened.
 */
export async function rotate(
  world: TrustWorld,
  options: Omit<StoreOptions, 'dryRun'>,
  name: string,
  harden?: boolean,
  add: readonly string[] = [],
): Promise<RotationResult> {
  const { state, env, now, report } = world
  const plan = await planRotation(world, options, { name, harden, add })
  await confirmOrCancel(world, { type: 'rotate', plan })
  const begun = await beginRotation(state, name, now(), harden, add)
  const { old, next } = begun
  report({ type: 'rotating', old, next })
  const kinds = isTrusted(old) ? await chosenKinds(state, options) : []
  const found = await openStores(world, { ...options, kinds }, [next])
  const installed = await withStoresLock(state, () =>
    installAnchors(found.stores, [anchorOf(next)]),
  )
  const result = { old, next, outcomes: installed, renewals: [], hooks: [], effects: null }
  if (!allWell(installed)) return { ...result, stoppedAt: 'install' }
  const rotation = begun.switched ? begun : await switchRotation(state, begun)
  const renewals = await renewRotated(state, rotation, now())
  const made = newlyMade(renewals)
  const hooks = await runRenewHooks(made, { env, owner: state.owner })
  report({ type: 'renewed', renewals, hooks })
  const effects = await effectsOf(state, made, old, next.copies !== null)
  const renewed = { old, next: rotation.next, outcomes: installed, renewals, hooks, effects }
  if (renewals.some(({ outcome }) => outcome === 'failed'))
    return { ...renewed, stoppedAt: 'renew' }
  const { outcomes: removed } = await removeAnchors(world, found, [anchorOf(old)])
  if (!allWell(removed)) return { ...renewed, outcomes: removed, stoppedAt: 'remove' }
  await finishRotation(state, rotation)
  return { ...renewed, outcomes: [...installed, ...removed], stoppedAt: null }
}

/**
 * Adds names to a scope of `ca permit`: rotates it into one that permits them too, since a root that
 * was trusted cannot be widened. `null`: it permits them already. Throws `cancelled`, and what
 * `requestToAdd` throws.
 */
export async function addNames(
  world: TrustWorld,
  options: Omit<StoreOptions, 'dryRun'>,
  request: AddRequest,
): Promise<RotationResult | null> {
  const wanted = await requestToAdd(world.state, request)
  return wanted && rotate(world, options, wanted.name, undefined, wanted.add)
}

export type AddRequest = PermitRequest & { readonly name: string }

/**
 * Returns the rotation that adds names to a scope; `null`: it permits them already. Throws
 * `no-scope`, `bad-name`, and `usage` for a scope that takes no names.
 */
export async function requestToAdd(
  state: StateDirectory,
  request: AddRequest,
): Promise<RotationRequest | null> {
  const { name } = request
  const { permitted } = checkPermit(request)
  if (!(await scopeNames(state)).includes(name)) throw noScope(name, 'rootling ca list')
  const scope = await openScope(state, name)
  if (!isTrusted(scope) || scope.constraints === null || scope.direct)
    throw new RootlingError('usage', `The scope ${name} is not one that names can be added to.`, {
      hint: `rootling ca permit ${permitted.join(' ')}`,
    })
  const isInterrupted = (await rotationParts(state)).some((part) => part.name === name)
  return !isInterrupted && permitsAll(scope, permitted) ? null : { name, add: permitted }
}

/**
 * Makes the new scope beside the old one, or returns the rotation that was interrupted. Throws
 * `no-scope`, and `usage` where the new scope cannot be hardened or unhardened as `harden` says.
 */
export async function beginRotation(
  state: StateDirectory,
  name: string,
  now: Date,
  harden?: boolean,
  add: readonly string[] = [],
): Promise<Rotation> {
  return exclusively(state, async () => {
    const decision = await decideRotation(state, { name, harden, add })
    const { old, switched, successor } = decision
    if (switched && decision.next !== null) return { old, next: decision.next, switched }
    if (decision.next === null)
      await createScope(state, await makeScope(successor, now), `${name}.next`)
    const next = decision.next ?? (await openScope(state, name, '.next'))
    await updateAllRoots(state)
    await updateBundles(state)
    return { old, next, switched: false }
  })
}

/** Puts the new scope in the place of the old, so that new certificates come from the new one. */
export async function switchRotation(
  state: StateDirectory,
  { old, next }: Rotation,
): Promise<Rotation> {
  await exclusively(state, async () => {
    await switchScope(state, next.name)
    await updateAllRoots(state)
    await updateBundles(state)
  })
  return { old, next: await openScope(state, next.name), switched: true }
}

/** Renews the certificates that the old scope signed and that are still in their files. */
export async function renewRotated(
  state: StateDirectory,
  { old }: Rotation,
  now: Date,
): Promise<Renewal[]> {
  return renew(state, { which: 'all' }, { only: holdsCertificateOf(old) }, now)
}

/** Deletes the old scope. Its root must have been removed from the trust stores before. */
export async function finishRotation(state: StateDirectory, { old }: Rotation): Promise<void> {
  await exclusively(state, async () => {
    await deleteScope(state, `${old.name}.old`)
    await updateAllRoots(state)
    await updateBundles(state)
  })
}
