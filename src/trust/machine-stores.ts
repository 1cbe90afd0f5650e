import { findTrustStores } from '../../platform/index.ts'
import { createMachine, type Machine } from '../../platform/machine.ts'
import { createAnchor } from '../../platform/pem.ts'
import {
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
import { trustStatus, type StoreOutcome } from './stores.ts'
import type { TrustWorld } from './world.ts'

/** Which stores of a machine are used, and how far a change may go. */
export interface StoreOptions {
  /** Default: every kind. */
  readonly kinds?: readonly StoreKind[] | undefined
  /** Whose stores on macOS and Windows; default: the platform's own choice. */
  readonly storeScope?: StoreScope | undefined
  /** Only records what it would do. */
  readonly dryRun?: boolean | undefined
  /** Default: allowed. */
  readonly sudo?: 'allowed' | 'forbidden' | undefined
}

/** What a change of the stores, or its dry run, came to. */
export interface StoreChange {
  readonly outcomes: readonly StoreOutcome[]
  /** What a dry run would have done, as a person would type it; `null`: it was no dry run. */
  readonly plannedCommands: readonly string[] | null
}

export interface MachineStores {
  readonly machine: Machine
  readonly stores: readonly TrustStore[]
  /** Finds the stores anew, as after a tool was installed. */
  readonly findAgain: () => Promise<readonly TrustStore[]>
}

/**
 * Finds the selected stores of this machine. A dry run shows `scopes` by the files of their roots;
 * `planned` are roots that only a dry run has.
 */
export async function openStores(
  world: TrustWorld,
  { kinds = storeKinds, storeScope, dryRun = false, sudo = 'allowed' }: StoreOptions,
  scopes: readonly Scope[],
  planned: readonly TrustAnchor[] = [],
): Promise<MachineStores> {
  const { state, env, now, interactive, report, findStores = findTrustStores } = world
  for (const scope of scopes) {
    const warning = expiryWarning(scope, now())
    if (warning !== null) report({ type: 'scope-expires', warning })
  }
  const machine = await createMachine({
    env,
    dryRun,
    sudo,
    interactive,
    knownFiles: new Map([
      ...scopes.map(({ root, rootPath: path }) => [root.toString(), path] as const),
      ...planned.map(({ pem }) => [pem, rootPath(state, 'NEW')] as const),
    ]),
    onPrompt: (sentence) => report({ type: 'password-prompt', sentence }),
  })
  const find = async (): Promise<readonly TrustStore[]> => {
    const stores = await findStores(machine, process.platform, { storeScope })
    return stores.filter(({ kind }) => kinds.includes(kind))
  }
  return { machine, stores: await find(), findAgain: find }
}

/** Asks the selected stores whether they trust the roots of these scopes; changes nothing. */
export async function trustOfScopes(
  world: TrustWorld,
  options: StoreOptions,
  scopes: readonly Scope[],
): Promise<StoreOutcome[]> {
  const { stores } = await openStores(world, options, scopes)
  return trustStatus(stores, scopes.map(anchorOf))
}

/** The root of a scope as trust stores see it. */
export function anchorOf({ root }: Scope): TrustAnchor {
  return createAnchor(root.raw)
}

/**
 * Runs `work` while no other rootling changes trust stores, waiting five minutes for one that has
 * a dialog open. Throws `locked`.
 */
export function withStoresLock<T>(state: StateDirectory, work: () => Promise<T>): Promise<T> {
  return withLock(state, work, { name: 'stores.lock', waitMilliseconds: 300_000 })
}
