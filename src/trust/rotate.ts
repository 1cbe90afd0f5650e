import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { makeScope } from '../authority/ceremony.ts'
import { checkPermit, permitsAll, widen, type PermitRequest } from '../authority/create.ts'
import { isTrusted, noScope, openScope, type Scope } from '../authority/scope.ts'
import { runRenewHooks, type HookOutcome } from '../certificates/renew-hooks.ts'
import { newlyMade, renew, type Renewal } from '../certificates/renew.ts'
import { RootlingError } from '../errors.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { toMove } from '../shell-commands.ts'
import { shellWord } from '../shell-word.ts'
import { updateBundles } from '../runtimes/bundles.ts'
import { updateAllRoots } from '../storage/files/all-roots.ts'
import { exclusively } from '../storage/files/unfinished-writes.ts'
import {
  createScope,
  deleteScope,
  rotationParts,
  scopeNames,
  scopePath,
  switchScope,
  type RotationPart,
} from '../storage/files/scopes.ts'
import { inspectCertificate } from '../x509/inspect.ts'
import { localConstraints } from '../x509/name-constraints.ts'
import { requireHardenable } from './harden.ts'
import {
  anchorOf,
  chosenKinds,
  openStores,
  withStoresLock,
  type StoreOptions,
} from './machine-stores.ts'
import { allWell, installAnchors, type StoreOutcome } from './stores.ts'
import { removeAnchors } from './uninstall.ts'
import type { TrustWorld } from './world.ts'

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
}

/**
 * Replaces a scope's root and intermediate by new ones with new subjects and keys, without a moment
 * in which a certificate is not trusted. Every step can be repeated after an interruption: make the
 * new scope beside the old, install the new root, switch (new certificates come from the new
 * scope), renew the old certificates, remove the old root, delete the old scope. `harden` says
 * whether the new scope is hardened; default: as the old one is. `add`: domains and ranges that the new
 * scope permits too. Throws `no-scope`, and `usage`
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
  if (harden ?? (await isHardened(state, name)))
    await requireHardenable(world, options, `rootling ca rotate ${shellWord(name)} --no-harden`)
  const begun = await beginRotation(state, name, now(), harden, add)
  const { old, next } = begun
  report({ type: 'rotating', old, next })
  const kinds = isTrusted(old) ? await chosenKinds(state, options) : []
  const found = await openStores(world, { ...options, kinds }, [next])
  const installed = await withStoresLock(state, () =>
    installAnchors(found.stores, [anchorOf(next)]),
  )
  const result = { next, outcomes: installed, renewals: [], hooks: [] }
  if (!allWell(installed)) return { ...result, stoppedAt: 'install' }
  const rotation = begun.switched ? begun : await switchRotation(state, begun)
  const renewals = await renewRotated(state, rotation, now())
  const hooks = await runRenewHooks(newlyMade(renewals), { env, owner: state.owner })
  report({ type: 'renewed', renewals, hooks })
  const renewed = { next: rotation.next, outcomes: installed, renewals, hooks }
  if (renewals.some(({ outcome }) => outcome === 'failed'))
    return { ...renewed, stoppedAt: 'renew' }
  const { outcomes: removed } = await removeAnchors(world, found, [anchorOf(old)])
  if (!allWell(removed)) return { ...renewed, outcomes: removed, stoppedAt: 'remove' }
  await finishRotation(state, rotation)
  return { ...renewed, outcomes: [...installed, ...removed], stoppedAt: null }
}

/**
 * Adds names to a scope of `ca permit`: rotates it into one that permits them too, since a root that
 * was trusted cannot be widened. `null`: it permits them already. Throws `no-scope`, `bad-name`, and
 * `usage` for a scope that takes no names.
 */
export async function addNames(
  world: TrustWorld,
  options: Omit<StoreOptions, 'dryRun'>,
  request: PermitRequest & { readonly name: string },
): Promise<RotationResult | null> {
  const { state } = world
  const { name } = request
  const { permitted } = checkPermit(request)
  if (!(await scopeNames(state)).includes(name)) throw noScope(name, 'rootling ca list')
  const scope = await openScope(state, name)
  if (!isTrusted(scope) || scope.constraints === null || scope.direct)
    throw new RootlingError('usage', `The scope ${name} is not one that names can be added to.`, {
      hint: `rootling ca permit ${permitted.join(' ')}`,
    })
  const isInterrupted = (await rotationParts(state)).some((part) => part.name === name)
  if (!isInterrupted && permitsAll(scope, permitted)) return null
  return rotate(world, options, name, undefined, permitted)
}

async function isHardened(state: StateDirectory, name: string): Promise<boolean> {
  const exists = (await scopeNames(state)).includes(name)
  return exists && (await openScope(state, name)).copies !== null
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
    if (!(await scopeNames(state)).includes(name)) throw noScope(name, 'rootling ca list')
    const parts = (await rotationParts(state)).filter((entry) => entry.name === name)
    const has = (wanted: RotationPart): boolean => parts.some(({ part }) => part === wanted)
    if (has('.old')) {
      const next = await openScope(state, name)
      refuseOther(next, harden)
      refuseWithout(next, add)
      return { old: await openScope(state, name, '.old'), next, switched: true }
    }
    const old = await openScope(state, name)
    refuseExclusions(old)
    const plan = successorOf(old, harden, add)
    if (!has('.next')) await createScope(state, await makeScope(plan, now), `${name}.next`)
    const next = await openScope(state, name, '.next')
    refuseOther(next, harden)
    refuseWithout(next, add)
    if (!isLike(next, plan)) throw notSuccessor(state, name)
    await updateAllRoots(state)
    await updateBundles(state)
    return { old, next, switched: false }
  })
}

/** Throws `usage` where the rotation that was interrupted makes another kind of scope than asked. */
function refuseOther({ name, copies }: Scope, harden: boolean | undefined): void {
  const hardened = copies !== null
  if (harden === undefined || harden === hardened) return
  throw new RootlingError(
    'usage',
    `An interrupted rotation of ${name} makes a scope that is ${hardened ? '' : 'not '}hardened.`,
    { hint: `Finish it first: rootling ca rotate ${name}` },
  )
}

/** Throws `usage` where the rotation that was interrupted does not add these names. */
function refuseWithout(next: Scope, add: readonly string[]): void {
  if (add.length === 0 || permitsAll(next, add)) return
  throw new RootlingError(
    'usage',
    `An interrupted rotation of ${next.name} does not add ${add.join(', ')}.`,
    { hint: `Finish it first: rootling ca rotate ${next.name}` },
  )
}

/**
 * Throws `usage` for an imported root that excludes names or addresses: the root that a rotation
 * makes would permit them. That every address is excluded is kept, since a scope without addresses
 * excludes them too.
 */
function refuseExclusions({ name, root, constraints, direct }: Scope): void {
  const { nameConstraints } = inspectCertificate(root.raw)
  if (!direct || nameConstraints === null) return
  const lost = nameConstraints.excluded
    .map(({ value }) => value)
    .filter((value) => constraints?.ip.length !== 0 || !/^(?:0\.0\.0\.0|::)\/0$/.test(value))
  if (lost.length === 0) return
  throw new RootlingError(
    'usage',
    `The root of the scope ${name} excludes ${lost.join(', ')}, which a new root would permit.`,
    { hint: 'Use it until it expires' },
  )
}

/**
 * Returns the plan of the scope that replaces `old`, with the same names. Where an imported root
 * may sign any name, the new root is limited to the local names.
 */
function successorOf(
  { name, use, permitted, constraints, copies, direct }: Scope,
  harden: boolean | undefined,
  add: readonly string[],
) {
  const kept = direct && constraints === null ? localConstraints : constraints
  const narrowed = kept === null ? null : widen(kept, add)
  if (harden === true && (use !== 'servers' || narrowed === null))
    throw new RootlingError(
      'usage',
      `The scope ${name} ${use === 'servers' ? 'may sign any name' : 'is in no trust store'}, so it cannot be hardened.`,
      { hint: `rootling ca rotate ${name}` },
    )
  const hardened = harden ?? copies !== null
  return {
    name,
    use,
    permitted: [...new Set([...permitted, ...add])],
    constraints: narrowed,
    hardened,
  }
}

/**
 * Whether a scope may sign what a plan says, or more, which an interrupted rotation adds. Another one is left of a rotation of a deleted scope of
 * the same name; its root may be one that no store must trust.
 */
const isLike = ({ use, permitted, constraints }: Scope, plan: ReturnType<typeof successorOf>) =>
  use === plan.use &&
  (constraints === null) === (plan.constraints === null) &&
  plan.permitted.every((name) => permitted.includes(name))

const notSuccessor = (state: StateDirectory, name: string): RootlingError =>
  new RootlingError(
    'corrupt-state',
    `What a stopped rotation left beside the scope ${name} is of another scope of that name.`,
    {
      hint: `Move that away, and rotate again: ${toMove(scopePath(state, `${name}.next`), join(state.path, `${name}.next.away`))}`,
    },
  )

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
  const only = async ({ certPath }: { certPath: string | null }): Promise<boolean> => {
    const text = certPath === null ? null : await readText(certPath).catch(() => null)
    return text !== null && isSignedBy(text, old)
  }
  return renew(state, { which: 'all' }, { only }, now)
}

function isSignedBy(pem: string, { intermediate }: Scope): boolean {
  try {
    return new X509Certificate(pem).verify(intermediate.publicKey)
  } catch {
    return false
  }
}

/** Deletes the old scope. Its root must have been removed from the trust stores before. */
export async function finishRotation(state: StateDirectory, { old }: Rotation): Promise<void> {
  await exclusively(state, async () => {
    await deleteScope(state, `${old.name}.old`)
    await updateAllRoots(state)
    await updateBundles(state)
  })
}
