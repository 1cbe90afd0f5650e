import { sep } from 'node:path'
import { allFormsOf, type TrustAnchor, type TrustStore } from '../../platform/trust-store.ts'
import { deleteAuthority, forgetScope, isDeletable } from '../authority/delete.ts'
import {
  isTrusted,
  noScope,
  openScope,
  readScopes,
  readScopesInRotation,
  type Scope,
} from '../authority/scope.ts'
import { pathsOf } from '../certificates/output-files.ts'
import { currentCertificates } from '../certificates/status.ts'
import { RootlingError, type ErrorCode } from '../errors.ts'
import { exists } from '../files/exists.ts'
import { isTaken } from '../files/own-entries.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { retireBundles, updateBundles } from '../runtimes/bundles.ts'
import { readCurrentInventory, recordPath } from '../storage/files/record.ts'
import { refuseLinkedScopes, scopeNames } from '../storage/files/scopes.ts'
import { forgetTrusted } from '../storage/files/trusted-roots.ts'
import { namedAuthorities, otherAuthorities } from '../storage/files/state-layout.ts'
import { refuseNewer } from '../storage/files/version.ts'
import { changeBesideJava } from './beside-java.ts'
import { removeIssuedClients } from './client-certificates.ts'
import { equipStores } from './equip.ts'
import {
  anchorOf,
  openStores,
  withStoresLock,
  type MachineStores,
  type StoreChange,
  type StoreOptions,
} from './machine-stores.ts'
import { rememberForgotten, rememberUninstalled } from './remember.ts'
import { storedRoot } from './stored-root.ts'
import { allWell, findInstalledAnchors, uninstallAnchors, type StoreOutcome } from './stores.ts'
import { confirmOrCancel, type TrustWorld } from './world.ts'

export interface UninstallRequest {
  /** Also removes the roots of other Rootling authorities that the stores hold. */
  readonly others?: boolean | undefined
  /** Also deletes the authority, once no store holds one of its roots. */
  readonly deleteAuthority?: boolean | undefined
  /** Deletes it also where a store failed, which may still hold one of its roots. */
  readonly force?: boolean | undefined
  /** Called before an authority is deleted, to stop what uses its files. */
  readonly beforeDeletion?: ((state: StateDirectory) => Promise<unknown>) | undefined
}

export interface Uninstallation extends StoreChange {
  /** The scopes of the authority, and of named ones that were deleted with it, as they were. */
  readonly scopes: readonly Scope[]
  /**
   * `kept`: the authority was not deleted, although requested, because a store that failed may still
   * hold one of its roots. `untouched`: deleting was not requested, there is no authority, or this was a dry
   * run.
   */
  readonly authority: 'deleted' | 'kept' | 'untouched'
  /** The paths of what a deletion left, since Rootling did not write it. */
  readonly left: readonly string[]
  /**
   * The files that the variables of `run` and `env --replace` name, which a deletion leaves with the
   * system's roots alone: programs that run would trust nobody without them.
   */
  readonly bundles: readonly string[]
  /** The files of certificates that the deleted authority issued, and that are still there. */
  readonly issued: readonly string[]
  /**
   * The named authorities in the directory of the deleted one, which the person was asked about one
   * by one.
   */
  readonly named: readonly { readonly state: StateDirectory; readonly deleted: boolean }[]
}

/**
 * Removes the authority's roots from the stores. When there is no authority, asks whether to remove
 * every root whose name in a store is one of Rootling's, except those of the other authorities
 * beside it: they may be those of other users of the machine.
 * Throws `cancelled`, `not-ours` where scopes to delete are behind a symbolic link, and `newer-state`
 * where a newer Rootling wrote one of the authorities. A store that fails does not throw: its outcome
 * says `failed`.
 */
export async function uninstallAuthority(
  world: TrustWorld,
  options: StoreOptions,
  request: UninstallRequest,
): Promise<Uninstallation> {
  const { state, report } = world
  const deletes = request.deleteAuthority === true && (await isDeletable(state))
  const named = deletes ? await namedAuthorities(state) : []
  for (const each of named) await refuseNewer(each)
  const {
    scopes,
    anchors: own,
    isEmpty,
  } = deletes ? await deletableRoots(world) : await roots(state)
  const found = await openStores(world, options, scopes)
  const others = (await findInstalledAnchors(found.stores)).filter(isNotIn(own))
  // Roots of an authority that has its files beside this one are removed only on request.
  const orphaned =
    request.others === true ? others : others.filter(isNotIn(await rootsBeside(state)))
  const taken = request.others === true || isEmpty ? orphaned : []
  const anchors = [...own, ...taken]
  const rest = others.filter(isNotIn(taken))
  if (rest.length > 0) report({ type: 'others-left', anchors: rest })
  if (anchors.length === 0) report({ type: 'nothing-installed' })
  let chosen: StateDirectory[] = []
  const isAsked = request.others === true
  if (options.dryRun !== true && taken.length > 0 && !isAsked)
    await confirmOrCancel(world, { type: 'remove-others', anchors: taken })
  if (options.dryRun !== true && (deletes || (taken.length > 0 && isAsked))) {
    const authority = { state, scopes: await scopeNames(state) }
    const question = { type: 'remove', anchors, scopes, deletesAuthority: deletes } as const
    await confirmOrCancel(world, { ...question, authority })
    chosen = await askAboutEach(world, named)
  }
  const change = await (deletes ? removeWithClients : removeAnchors)(world, found, anchors)
  if (change.plannedCommands === null && options.kinds === undefined && allWell(change.outcomes))
    await forgetTrusted(
      state,
      taken.map(({ fingerprint }) => fingerprint),
    )
  const untouched = { ...change, scopes, left: [], bundles: [], issued: [], named: [] }
  if (!deletes && change.plannedCommands === null && !isEmpty && allWell(change.outcomes)) {
    await rememberUninstalled(state, scopes, options.kinds)
    if (options.kinds === undefined) await retireBundles(state)
  }
  if (!deletes || change.plannedCommands !== null) return { ...untouched, authority: 'untouched' }
  if (!allWell(change.outcomes) && request.force !== true)
    return { ...untouched, authority: 'kept' }
  const outcomes = [...change.outcomes]
  const owned = [...scopes]
  const issued = await issuedFiles(state)
  const hasRecord = await exists(recordPath(state))
  const left: string[] = []
  const bundles: string[] = []
  const done = new Set<StateDirectory>()
  for (const each of chosen) {
    const deletion = await deleteNamed({ ...world, state: each }, options, request)
    outcomes.push(...deletion.outcomes)
    owned.push(...deletion.scopes)
    left.push(...deletion.left)
    bundles.push(...deletion.bundles)
    issued.push(...deletion.issued)
    if (deletion.deleted) done.add(each)
  }
  await request.beforeDeletion?.(state)
  const deletion = await deleteFiles(state)
  left.push(...deletion.left)
  bundles.push(...deletion.bundles)
  return {
    ...change,
    scopes: owned,
    outcomes,
    authority: isEmpty && !hasRecord ? 'untouched' : 'deleted',
    left: [...new Set(left)],
    bundles,
    issued,
    named: named.map((each) => ({ state: each, deleted: done.has(each) })),
  }
}

/**
 * Removes the client certificates of the authority from the stores of browsers, then its roots: a
 * database that `install` created is deleted with the root if nothing else is in it.
 */
async function removeWithClients(
  world: TrustWorld,
  found: MachineStores,
  anchors: readonly TrustAnchor[],
): Promise<StoreChange> {
  const { machine } = found
  const clients = await removeIssuedClients(world, machine, world.findClientStores)
  const { outcomes } = await removeAnchors(world, found, anchors)
  return {
    outcomes: [...outcomes, ...clients],
    plannedCommands: machine.dryRun ? machine.planned : null,
  }
}

/** Returns a test of whether an anchor is neither one of these nor a copy of one. */
const isNotIn =
  (anchors: readonly TrustAnchor[]) =>
  ({ fingerprint }: TrustAnchor): boolean =>
    !anchors.flatMap(allFormsOf).some((form) => form.fingerprint === fingerprint)

interface Roots {
  readonly scopes: readonly Scope[]
  /** The roots that the stores may hold. */
  readonly anchors: readonly TrustAnchor[]
  /** Whether there is no scope, not even a damaged one. */
  readonly isEmpty: boolean
}

/** The roots that `install` put into stores. */
const anchorsOf = (scopes: readonly Scope[]): TrustAnchor[] =>
  scopes.filter(isTrusted).map(anchorOf)

async function roots(state: StateDirectory): Promise<Roots> {
  const scopes = [...(await readScopes(state)), ...(await readScopesInRotation(state))]
  return { scopes, anchors: anchorsOf(scopes), isEmpty: scopes.length === 0 }
}

/**
 * Does what `roots` does, also where scopes are damaged, as a deletion that was killed may leave
 * them. Their roots are among the anchors if they can be read.
 */
async function deletableRoots(world: TrustWorld): Promise<Roots> {
  const { state } = world
  await refuseLinkedScopes(state)
  const scopes = await readScopesInRotation(state)
  const damaged: TrustAnchor[] = []
  const names = await scopeNames(state)
  for (const name of names) {
    const root = await storedRoot(state, name)
    // A root that can still be recognized in the stores is no reason for a warning.
    const quiet = root === null ? world : { ...world, report: () => undefined }
    const scope = await openUndamaged(quiet, name)
    if (scope !== null) scopes.push(scope)
    else if (root !== null) damaged.push(root)
  }
  const anchors = [...anchorsOf(scopes), ...damaged]
  return { scopes, anchors, isEmpty: scopes.length + names.length === 0 }
}

/** Reads the roots of the other authorities beside this one, as far as they can be read. */
async function rootsBeside(state: StateDirectory): Promise<TrustAnchor[]> {
  const anchors: TrustAnchor[] = []
  for (const other of await otherAuthorities(state)) {
    await refuseNewer(other)
    anchors.push(...anchorsOf(await readScopesInRotation(other)))
    for (const name of await scopeNames(other)) {
      const root = await storedRoot(other, name)
      if (root !== null) anchors.push(root)
    }
  }
  return anchors
}

/** Asks about each of the named authorities, and returns those that the person wants deleted. */
async function askAboutEach(
  world: TrustWorld,
  named: readonly StateDirectory[],
): Promise<StateDirectory[]> {
  const chosen: StateDirectory[] = []
  for (const state of named) {
    const authority = { state, scopes: await scopeNames(state) }
    if (await world.confirm({ type: 'delete-named-authority', authority })) chosen.push(state)
  }
  return chosen
}

/** Deletes an authority that the person was asked about, unless a store still holds its root. */
async function deleteNamed(
  world: TrustWorld,
  options: StoreOptions,
  { beforeDeletion, force }: UninstallRequest,
): Promise<Forgotten & Pick<Uninstallation, 'issued' | 'bundles'>> {
  const { scopes, anchors } = await deletableRoots(world)
  const found = await openStores(world, options, scopes)
  const change = await removeWithClients(world, found, anchors)
  if (!allWell(change.outcomes) && force !== true)
    return { ...change, scopes, deleted: false, left: [], bundles: [], issued: [] }
  const issued = await issuedFiles(world.state)
  await beforeDeletion?.(world.state)
  return { ...change, scopes, deleted: true, ...(await deleteFiles(world.state)), issued }
}

/** Deletes the files of an authority. Returns what is left of them, and why. */
async function deleteFiles(
  state: StateDirectory,
): Promise<Pick<Uninstallation, 'left' | 'bundles'>> {
  const bundles = await retireBundles(state, { isDeleted: true })
  const left = await deleteAuthority(state)
  return { bundles, left: bundles.length === 0 ? left : left.filter((path) => path !== state.path) }
}

/**
 * Returns the files outside the state directory that its record names and that are there. A record
 * that cannot be read names none, and is deleted all the same.
 */
async function issuedFiles(state: StateDirectory): Promise<string[]> {
  const onDamage = (): void => undefined
  const inventory = await readCurrentInventory(state, { onDamage }).catch(() => null)
  const paths = new Set(currentCertificates(inventory?.certificates ?? []).flatMap(pathsOf))
  return [...paths].filter((path) => !path.startsWith(state.path + sep) && isTaken(path))
}

export interface Forgotten extends StoreChange {
  /** The scopes whose roots were removed: the one that was named, and those of a stopped rotation. */
  readonly scopes: readonly Scope[]
  readonly deleted: boolean
  /** The paths of what was left, since Rootling did not write it. */
  readonly left: readonly string[]
}

/**
 * Removes a scope's root from the stores, and those that a stopped rotation keeps beside it, then
 * deletes the scope, unless a store that failed may still hold one of the roots; with `force` in any
 * case. Throws `cancelled`, and `no-scope` with the hint that `hint` makes from the names of the
 * existing scopes.
 */
export async function forgetTrustedScope(
  world: TrustWorld,
  options: StoreOptions,
  name: string,
  hint: (names: readonly string[]) => string,
  { force = false } = {},
): Promise<Forgotten> {
  const { state } = world
  const names = await scopeNames(state)
  if (!names.includes(name)) throw noScope(name, hint(names))
  if (options.dryRun !== true) await confirmOrCancel(world, { type: 'forget-scope', name })
  const scope = await openUndamaged(world, name)
  const beside = (await readScopesInRotation(state)).filter((each) => each.name === name)
  const scopes = scope === null ? beside : [scope, ...beside]
  const found = await openStores(world, options, scopes)
  const change = await removeAnchors(world, found, anchorsOf(scopes))
  const deleted = change.plannedCommands === null && (force || allWell(change.outcomes))
  const left = deleted ? await forgetScope(state, name) : []
  if (deleted) await rememberForgotten(state, name)
  if (deleted) await updateBundles(state)
  return { ...change, scopes, deleted, left }
}

/**
 * Opens a scope; `null`: its files are damaged or behind symbolic links, so its root cannot be
 * recognized in the stores.
 */
async function openUndamaged({ state, report }: TrustWorld, name: string): Promise<Scope | null> {
  try {
    return await openScope(state, name)
  } catch (error) {
    const isDamage = error instanceof RootlingError && damageCodes.has(error.code)
    if (!isDamage) throw error
    report({ type: 'scope-damaged', error })
    return null
  }
}

const damageCodes: ReadonlySet<ErrorCode> = new Set(['corrupt-state', 'file-unreadable'])

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
  const java = await javaBeside(world, found)
  const own = anchorsOf(await readScopes(world.state).catch(() => []))
  const remove = (): Promise<StoreOutcome[]> =>
    changeBesideJava(java, own, async () =>
      uninstallAnchors(await equipStores(found, world), anchors),
    )
  // Without a state directory there is no place for a lock file, and none is created for one.
  const locked = await exists(world.state.path)
  const outcomes = locked ? await withStoresLock(world.state, remove) : await remove()
  return { outcomes, plannedCommands: null }
}

/** Returns Java's stores, also where only the system's was selected: the system copies into them. */
async function javaBeside(
  world: TrustWorld,
  { stores }: MachineStores,
): Promise<readonly TrustStore[]> {
  if (!stores.some(({ kind }) => kind === 'system')) return []
  const java = stores.filter(({ kind }) => kind === 'java')
  return java.length > 0 ? java : (await openStores(world, { kinds: ['java'] }, [])).stores
}
