import { storeKinds, type StoreKind } from '../../platform/trust-store.ts'
import { isTrusted, type Scope } from '../authority/scope.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { readStoreMemory, writeStoreMemory } from '../storage/files/store-memory.ts'
import { anchorOf } from './machine-stores.ts'
import type { StoreOutcome } from './stores.ts'

interface Installed {
  /** The scopes that were there before. */
  readonly before: readonly Scope[]
  /** The scopes whose roots were installed. */
  readonly scopes: readonly Scope[]
  readonly outcomes: readonly StoreOutcome[]
  /** The kinds of stores that were used; `undefined`: every kind. */
  readonly kinds: readonly StoreKind[] | undefined
}

/**
 * Remembers which kinds of stores were chosen, and which roots are in none. Kinds are added to those
 * of before while a store may hold a root, so that a rotation leaves out no store.
 */
export async function rememberInstalled(
  state: StateDirectory,
  { before, scopes, outcomes, kinds }: Installed,
): Promise<void> {
  const memory = (await readStoreMemory(state)) ?? { kinds: null, untrusted: [] }
  const wasTrusted = before.some(({ name }) => !memory.untrusted.includes(name))
  const isHeld = (scope: Scope): boolean =>
    outcomes.some(
      ({ anchor, outcome }) =>
        anchor === anchorOf(scope).name &&
        (outcome === 'installed' || outcome === 'already-installed'),
    )
  const held = new Set(scopes.filter(isHeld).map(({ name }) => name))
  const absent = scopes.map(({ name }) => name).filter((name) => !held.has(name))
  const all = wasTrusted ? added(memory.kinds, kinds) : (kinds ?? null)
  // A root that one store refused may still be in another, which an earlier command used.
  const newlyAbsent = absent.filter((name) => !before.some((scope) => scope.name === name))
  const untrusted = memory.untrusted.filter((name) => !held.has(name))
  await writeStoreMemory(state, { kinds: all, untrusted: [...untrusted, ...newlyAbsent] })
}

function added(
  before: readonly string[] | null,
  kinds: readonly StoreKind[] | undefined,
): readonly string[] | null {
  if (before === null || kinds === undefined) return null
  return storeKinds.filter((kind) => before.includes(kind) || kinds.includes(kind))
}

/**
 * Remembers that roots were taken out of stores of these kinds, where that leaves them in none;
 * `undefined`: out of every kind.
 */
export async function rememberUninstalled(
  state: StateDirectory,
  scopes: readonly Scope[],
  kinds: readonly StoreKind[] | undefined,
): Promise<void> {
  const memory = (await readStoreMemory(state)) ?? { kinds: null, untrusted: [] }
  const chosen = memory.kinds ?? storeKinds
  const isAll = kinds === undefined || chosen.every((kind) => kinds.some((each) => each === kind))
  if (!isAll) return
  const names = scopes.filter(isTrusted).map(({ name }) => name)
  await writeStoreMemory(state, { ...memory, untrusted: [...memory.untrusted, ...names] })
}

/** Drops a scope that was deleted, since another may be made with its name. */
export async function rememberForgotten(state: StateDirectory, name: string): Promise<void> {
  const memory = await readStoreMemory(state)
  if (memory === null || !memory.untrusted.includes(name)) return
  const untrusted = memory.untrusted.filter((each) => each !== name)
  await writeStoreMemory(state, { ...memory, untrusted })
}
