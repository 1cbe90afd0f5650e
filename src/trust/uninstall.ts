import type { TrustAnchor } from '../../platform/trust-store.ts'
import { deleteAuthority, forgetScope } from '../authority/delete.ts'
import {
  noScope,
  openScope,
  readScopes,
  readScopesInRotation,
  type Scope,
} from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import { exists } from '../files/exists.ts'
import { scopeNames } from '../storage/files/scopes.ts'
import { equipStores } from './equip.ts'
import {
  anchorOf,
  openStores,
  withStoresLock,
  type MachineStores,
  type StoreChange,
  type StoreOptions,
} from './machine-stores.ts'
import { allWell, findInstalledAnchors, uninstallAnchors, type StoreOutcome } from './stores.ts'
import { confirmOrCancel, type TrustWorld } from './world.ts'

export interface UninstallRequest {
  /** Also removes the roots of other Rootling authorities that the stores hold. */
  readonly others?: boolean | undefined
  /** Deletes the authority too, once no store holds a root of it. */
  readonly deleteAuthority?: boolean | undefined
}

export interface Uninstallation extends StoreChange {
  /** `kept`: not deleted as requested, since a store still holds a root. */
  readonly authority: 'deleted' | 'kept' | 'untouched'
}

/**
 * Removes the authority's roots from the stores. Without an authority it removes what the stores
 * hold under Rootling's names. Throws `cancelled`; a store that fails is an outcome.
 */
export async function uninstallAuthority(
  world: TrustWorld,
  options: StoreOptions,
  request: UninstallRequest,
): Promise<Uninstallation> {
  const { state, report } = world
  const scopes = [...(await readScopes(state)), ...(await readScopesInRotation(state))]
  const found = await openStores(world, options, scopes)
  const own = scopes.map(anchorOf)
  const others = (await findInstalledAnchors(found.stores)).filter(
    ({ fingerprint }) => !own.some((anchor) => anchor.fingerprint === fingerprint),
  )
  const takesOthers = request.others === true || scopes.length === 0
  const anchors = takesOthers ? [...own, ...others] : own
  if (!takesOthers && others.length > 0) report({ type: 'others-left', anchors: others })
  if (anchors.length === 0) report({ type: 'nothing-installed' })
  const deletes = request.deleteAuthority === true && (await exists(state.path))
  if (options.dryRun !== true && (deletes || (takesOthers && others.length > 0)))
    await confirmOrCancel(world, { type: 'remove', anchors, deletesAuthority: deletes })
  const change = await removeAnchors(world, found, anchors)
  if (!deletes || change.plannedCommands !== null) return { ...change, authority: 'untouched' }
  if (!allWell(change.outcomes)) return { ...change, authority: 'kept' }
  await deleteAuthority(state)
  return { ...change, authority: 'deleted' }
}

export interface Forgotten extends StoreChange {
  readonly deleted: boolean
}

/**
 * Removes a scope's root from the stores and deletes the scope, unless a store still holds the
 * root. Throws `no-scope`, whose hint is made from the names that there are, and `cancelled`.
 */
export async function forgetTrustedScope(
  world: TrustWorld,
  options: StoreOptions,
  name: string,
  hint: (names: readonly string[]) => string,
): Promise<Forgotten> {
  const { state } = world
  const names = await scopeNames(state)
  if (!names.includes(name)) throw noScope(name, hint(names))
  if (options.dryRun !== true) await confirmOrCancel(world, { type: 'forget-scope', name })
  const scope = await openUndamaged(world, name)
  const scopes = scope === null ? [] : [scope]
  const found = await openStores(world, options, scopes)
  const change = await removeAnchors(world, found, scopes.map(anchorOf))
  const deleted = change.plannedCommands === null && allWell(change.outcomes)
  if (deleted) await forgetScope(state, name)
  return { ...change, deleted }
}

/** `null`: the scope's files are damaged, so its root cannot be recognized in the stores. */
async function openUndamaged({ state, report }: TrustWorld, name: string): Promise<Scope | null> {
  try {
    return await openScope(state, name)
  } catch (error) {
    if (!(error instanceof RootlingError) || error.code !== 'corrupt-state') throw error
    report({ type: 'scope-damaged', error })
    return null
  }
}

/** Removes anchors from stores that are open, or plans it where the machine is in a dry run. */
export async function removeAnchors(
  world: TrustWorld,
  found: MachineStores,
  anchors: readonly TrustAnchor[],
): Promise<StoreChange> {
  if (found.machine.dryRun) {
    const outcomes = await uninstallAnchors(found.stores, anchors, { dryRun: true })
    return { outcomes, plannedCommands: found.machine.planned }
  }
  if (anchors.length === 0) return { outcomes: [], plannedCommands: null }
  const remove = async (): Promise<StoreOutcome[]> =>
    uninstallAnchors(await equipStores(found, world), anchors)
  // Without a state directory there is nothing to lock, and none is made for it.
  const locked = await exists(world.state.path)
  const outcomes = locked ? await withStoresLock(world.state, remove) : await remove()
  return { outcomes, plannedCommands: null }
}
