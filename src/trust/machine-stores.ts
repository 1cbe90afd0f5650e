import { findTrustStores } from '../../platform/index.ts'
import { createMachine, type Machine } from '../../platform/machine.ts'
import { certificatesIn, createAnchor } from '../../platform/pem.ts'
import {
  anchorPrefix,
  storeKinds,
  type StoreKind,
  type StoreScope,
  type TrustAnchor,
  type TrustStore,
} from '../../platform/trust-store.ts'
import type { Scope } from '../authority/scope.ts'
import { expiryWarning } from '../authority/signer.ts'
import { withLock } from '../files/lock.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { rootPath } from '../storage/files/scopes.ts'
import { readStoreMemory } from '../storage/files/store-memory.ts'
import { presenceStatus, trustStatus, type StoreOutcome } from './stores.ts'
import type { TrustWorld } from './world.ts'

/** Selects the stores of a machine, and says whether they may be changed and sudo used. */
export interface StoreOptions {
  /** The kinds of store to use; default: every kind. */
  readonly kinds?: readonly StoreKind[] | undefined
  /**
   * Whether the user's or the machine's stores are used on macOS and Windows; default: the
   * platform's choice.
   */
  readonly storeScope?: StoreScope | undefined
  /** Whether the commands are only recorded, not run. */
  readonly dryRun?: boolean | undefined
  /** Whether programs may be run with sudo; default: allowed. */
  readonly sudo?: 'allowed' | 'forbidden' | undefined
  /** A file whose first line is the password of Java's keystores that do not have the usual one. */
  readonly javaPasswordFile?: string | undefined
  /** What the stores ask the machine through, such as a memory of its answers; default: nothing. */
  readonly through?: ((machine: Machine) => Machine) | undefined
}

/** The result of changing the stores, or of a dry run. */
export interface StoreChange {
  readonly outcomes: readonly StoreOutcome[]
  /**
   * The commands that a dry run would have run, as a person would type them; `null`: this was no
   * dry run.
   */
  readonly plannedCommands: readonly string[] | null
}

export interface MachineStores {
  readonly machine: Machine
  readonly stores: readonly TrustStore[]
  /** Finds the stores again, for example after a tool was installed. */
  readonly findAgain: () => Promise<readonly TrustStore[]>
}

/**
 * Finds the selected stores of this machine. A dry run shows the roots of `scopes` by the paths of
 * their files. `planned` are the roots that a dry run would create.
 */
export async function openStores(
  world: TrustWorld,
  {
    kinds = storeKinds,
    storeScope,
    dryRun = false,
    sudo = 'allowed',
    javaPasswordFile,
    through = (machine) => machine,
  }: StoreOptions,
  scopes: readonly Scope[],
  planned: readonly TrustAnchor[] = [],
): Promise<MachineStores> {
  const { state, env, now, interactive, report, findStores = findTrustStores } = world
  const { askKeystorePassword, attendedCommand } = world
  for (const scope of scopes) {
    const warning = expiryWarning(scope, now())
    if (warning !== null) report({ type: 'scope-expires', warning })
  }
  const created = await createMachine({
    env,
    dryRun,
    sudo,
    interactive,
    attendedCommand,
    knownFiles: new Map([
      ...scopes.map(({ root, rootPath: path }) => [root.toString(), path] as const),
      ...planned.map(({ pem }) => [pem, rootPath(state, 'NEW')] as const),
    ]),
    onPrompt: (sentence) => report({ type: 'password-prompt', sentence }),
    onWait: (what, seconds) => report({ type: 'waiting', what, seconds }),
  })
  const machine = through(created)
  const find = async (): Promise<readonly TrustStore[]> => {
    const options = { storeScope, javaPasswordFile, askKeystorePassword }
    const stores = await findStores(machine, process.platform, options)
    return stores.filter(({ kind }) => kinds.includes(kind))
  }
  return { machine, stores: await find(), findAgain: find }
}

/**
 * Returns the kinds of stores to use: those that are named, else those that `install` was told to
 * use before; `undefined`: every kind.
 */
export async function chosenKinds(
  state: StateDirectory,
  { kinds }: StoreOptions,
): Promise<readonly StoreKind[] | undefined> {
  if (kinds !== undefined) return kinds
  const remembered = (await readStoreMemory(state))?.kinds
  return remembered == null ? undefined : storeKinds.filter((kind) => remembered.includes(kind))
}

/** Asks the selected stores whether they trust the roots of these scopes. Changes nothing. */
export async function trustOfScopes(
  world: TrustWorld,
  options: StoreOptions,
  scopes: readonly Scope[],
): Promise<StoreOutcome[]> {
  const kinds = await chosenKinds(world.state, options)
  const { stores } = await openStores(world, { ...options, kinds }, scopes)
  return trustStatus(stores, scopes.map(anchorOf))
}

/** The name of a root that does not exist yet, in a plan. */
export const placeholderName = `${anchorPrefix}XXXXXXXX`

/**
 * Asks every store of this machine whether it holds the root of a scope. Returns the stores that do,
 * and those that cannot be read, so that they may. Changes nothing.
 */
export async function holdersOfScope(
  world: TrustWorld,
  scope: Scope,
): Promise<{
  readonly holding: readonly StoreOutcome[]
  readonly unread: readonly StoreOutcome[]
}> {
  const { stores } = await openStores(world, {}, [scope])
  const outcomes = await presenceStatus(stores, [anchorOf(scope)])
  return {
    holding: outcomes.filter(({ outcome }) => outcome === 'trusted'),
    unread: outcomes.filter(({ outcome }) => outcome === 'failed'),
  }
}

/** Returns the root of a scope as a trust anchor. */
export function anchorOf({ root, copies }: Scope): TrustAnchor {
  return anchorWith(root.raw, copies?.pem)
}

/** Returns a root as a trust anchor. `copies`: the PEM of its copies, if it is hardened. */
export function anchorWith(root: Buffer, copies: string | undefined): TrustAnchor {
  const anchor = createAnchor(root)
  return copies === undefined
    ? anchor
    : { ...anchor, copies: certificatesIn(copies).map(createAnchor) }
}

/**
 * Runs `work` while holding the lock on the trust stores, so that no other rootling process changes
 * them. Waits up to five minutes for the lock, because its holder may have a dialog open. Throws
 * `locked` after that.
 */
export function withStoresLock<T>(state: StateDirectory, work: () => Promise<T>): Promise<T> {
  return withLock(state, work, { name: 'stores.lock', waitMilliseconds: 300_000 })
}
