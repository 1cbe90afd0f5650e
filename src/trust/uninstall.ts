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
  /** Also deletes the authority, once no store holds one of its roots. */
  readonly deleteAuthority?: boolean | undefined
}

export interface Uninstallation extends StoreChange {
  /**
   * `kept`: the authority was not deleted, although requested, because a store still holds one of
   * its roots. `untouched`: deleting was not requested, there is no authority, or this was a dry
   * run.
   */
  readonly authority: 'deleted' | 'kept' | 'untouched'
}

/**
 * Removes the authority's roots from the stores. When there is no authority, removes every root
 * whose name in a store is one of Rootling's. Throws `cancelled`. A store that fails does not
 * throw: its outcome says `failed`.
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
 * Removes a scope's root from the stores, then deletes the scope, unless a store still holds the
 * root. Throws `cancelled`, and `no-scope` with the hint that `hint` makes from the names of the
 * existing scopes.
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

/** Opens a scope; `null`: its files are damaged, so its root cannot be recognized in the stores. */
async function openUndamaged({ state, report }: TrustWorld, name: string): Promise<Scope | null> {
  try {
    return await openScope(state, name)
  } catch (error) {
    if (!(error instanceof RootlingError) || error.code !== 'corrupt-state') throw error
    report({ type: 'scope-damaged', error })
    return null
  }
}

/**
 * Removes anchors from the stores in `found`, or only records the commands when its machine is in a
 * dry run.
 */
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
  // Without a state directory there is no place for a lock file, and none is created for one.
  const locked = await exists(world.state.path)
  const outcomes = locked ? await withStoresLock(world.state, remove) : await remove()
  return { outcomes, plannedCommands: null }
}
