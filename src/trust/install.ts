import type { TrustAnchor } from '../../platform/trust-store.ts'
import { makeScope } from '../authority/ceremony.ts'
import {
  checkPermit,
  ensureAuthority,
  isHardened,
  permitScope,
  type Created,
  type PermitRequest,
} from '../authority/create.ts'
import { readTrustedScopes, type Scope } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import { localConstraints } from '../x509/name-constraints.ts'
import { equipStores } from './equip.ts'
import { requireHardenable } from './harden.ts'
import {
  anchorOf,
  anchorWith,
  chosenKinds,
  openStores,
  placeholderName,
  withStoresLock,
  type StoreChange,
  type StoreOptions,
} from './machine-stores.ts'
import { rememberInstalled } from './remember.ts'
import { findStaleRoots, type StaleRoot } from './stale-roots.ts'
import { installAnchors } from './stores.ts'
import type { TrustWorld } from './world.ts'

export interface Installation extends StoreChange {
  /** Whether this call created the authority or, for `permitNames`, the scope. */
  readonly created: boolean
  /** The scopes whose roots were installed. */
  readonly scopes: readonly Scope[]
  /** The kinds of stores that were used; absent: every kind. */
  readonly kinds?: StoreOptions['kinds']
  /** Roots that the stores hold and no authority here has; absent: they were not looked for. */
  readonly stale?: readonly StaleRoot[]
}

/**
 * Creates the authority when there is none, and installs the root of every scope. With a request,
 * first adds a scope for the requested names. Throws `usage`, `bad-name` or `scope-exists` for a
 * request that cannot be granted, and `usage` where `harden` is asked for and cannot be done. A
 * store that fails does not throw: its outcome says `failed`.
 */
export async function installAuthority(
  world: TrustWorld,
  options: StoreOptions,
  request: PermitRequest | null,
  { harden = false } = {},
): Promise<Installation> {
  const scopes = await readTrustedScopes(world.state)
  const kinds = await kindsToInstall(world, options)
  if (harden) await checkHarden(world, options, scopes, request)
  else if (request !== null && isHardened(scopes)) await requireStillHardenable(world, options)
  if (options.dryRun === true)
    return planInstallation(world, { ...options, kinds }, request, harden)
  if (request !== null) checkPermit(request)
  const { created, scope } = await ensureAuthority(world.state, world.now(), harden)
  if (created) world.report({ type: 'authority-created', scope })
  if (request !== null) await permit(world, request)
  const made = { scopes: await readTrustedScopes(world.state), created }
  return installScopes(world, { ...options, kinds }, made, scopes)
}

/**
 * Returns the kinds of stores for `install`. Where none were wanted before, and none are named now,
 * all are used: the person asks for trust.
 */
async function kindsToInstall(
  { state }: TrustWorld,
  options: StoreOptions,
): Promise<StoreOptions['kinds']> {
  const kinds = await chosenKinds(state, options)
  return options.kinds === undefined && kinds?.length === 0 ? undefined : kinds
}

/** Throws `usage` where the authority to install cannot be made hardened, or exists and is not. */
async function checkHarden(
  world: TrustWorld,
  options: StoreOptions,
  scopes: readonly Scope[],
  request: PermitRequest | null,
): Promise<void> {
  if (request?.unconstrained === true)
    throw new RootlingError('usage', 'An unconstrained scope cannot be hardened.', {
      hint: 'Install without --unconstrained, and then: rootling ca permit --unconstrained',
    })
  if (scopes.length > 0 && !isHardened(scopes))
    throw new RootlingError('usage', 'There is an authority already, and it is not hardened.', {
      hint: 'To replace it without a gap by one that is: rootling ca rotate --harden',
    })
  await requireHardenable(world, options, 'Leave out --harden')
}

const requireStillHardenable = (world: TrustWorld, options: StoreOptions): Promise<void> =>
  requireHardenable(world, options, 'rootling ca rotate --no-harden')

/**
 * Adds a scope for the requested names and installs its root; the other scopes stay as they are.
 */
export async function permitNames(
  world: TrustWorld,
  options: StoreOptions,
  request: PermitRequest,
): Promise<Installation> {
  const { constraints } = checkPermit(request)
  const before = await readTrustedScopes(world.state)
  if (constraints !== null && isHardened(before)) await requireStillHardenable(world, options)
  const kinds = await chosenKinds(world.state, options)
  if (options.dryRun === true) return planInstallation(world, { ...options, kinds }, request)
  await ensureAuthority(world.state, world.now())
  const { scope, created } = await permit(world, request)
  return installScopes(world, { ...options, kinds }, { scopes: [scope], created }, before)
}

/**
 * Adds a scope whose root goes into no store, for programs that are given the root's file. Throws
 * `usage` and `scope-exists`.
 */
export const addPrivateScope = (world: TrustWorld, name: string): Promise<Created> =>
  permit(world, { permit: [], name, private: true })

async function permit(
  { state, now, report }: TrustWorld,
  request: PermitRequest,
): Promise<Created> {
  const permitted = await permitScope(state, request, now())
  report({ type: 'scope-permitted', ...permitted })
  return permitted
}

async function installScopes(
  world: TrustWorld,
  options: StoreOptions,
  made: Pick<Installation, 'scopes' | 'created'>,
  before: readonly Scope[],
): Promise<Installation> {
  const { state } = world
  const { scopes } = made
  const found = await openStores(world, options, scopes)
  const outcomes = await withStoresLock(state, async () => {
    const done = await installAnchors(await equipStores(found, world), scopes.map(anchorOf))
    await rememberInstalled(state, { before, scopes, outcomes: done, kinds: options.kinds })
    return done
  })
  const stale = await findStaleRoots(state, found.stores)
  return { ...made, kinds: options.kinds, outcomes, stale, plannedCommands: null }
}

/**
 * Plans an installation without changing anything. Placeholders stand for the roots that would be
 * created.
 */
async function planInstallation(
  world: TrustWorld,
  options: StoreOptions,
  request: PermitRequest | null,
  harden = false,
): Promise<Installation> {
  const scopes = await readTrustedScopes(world.state)
  const placeholders: TrustAnchor[] = []
  const hardened = harden || isHardened(scopes)
  if (scopes.length === 0) placeholders.push(await placeholderAnchor(world.now(), hardened))
  if (request !== null)
    placeholders.push(
      await placeholderAnchor(world.now(), hardened && request.unconstrained !== true),
    )
  if (placeholders.length > 0) world.report({ type: 'scope-planned', anchorName: placeholderName })
  const found = await openStores(world, options, scopes, placeholders)
  const anchors = [...scopes.map(anchorOf), ...placeholders]
  const stores = await equipStores(found, world)
  const outcomes = await installAnchors(stores, anchors, { dryRun: true })
  return { created: false, scopes, outcomes, plannedCommands: found.machine.planned }
}

/** Makes a root that stands, in a plan, for one that would be made. */
export async function placeholderAnchor(now: Date, hardened: boolean): Promise<TrustAnchor> {
  const plan = { name: 'local', permitted: [], constraints: localConstraints, hardened }
  const { root, rootCopies } = await makeScope(plan, now)
  const der = Buffer.from(root.replace(/-----.*-----/g, ''), 'base64')
  return { ...anchorWith(der, rootCopies), name: placeholderName }
}
