import { X509Certificate } from 'node:crypto'
import { makeScope } from '../authority/ceremony.ts'
import { noScope, openScope, type Scope } from '../authority/scope.ts'
import { runRenewHooks, type HookOutcome } from '../certificates/renew-hooks.ts'
import { newlyMade, renew, type Renewal } from '../certificates/renew.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { exclusively } from '../storage/files/unfinished-writes.ts'
import {
  createScope,
  deleteScope,
  rotationParts,
  scopeNames,
  switchScope,
  type RotationPart,
} from '../storage/files/scopes.ts'
import { localConstraints } from '../x509/name-constraints.ts'
import { anchorOf, openStores, withStoresLock, type StoreOptions } from './machine-stores.ts'
import { allWell, installAnchors, type StoreOutcome } from './stores.ts'
import { removeAnchors } from './uninstall.ts'
import type { TrustWorld } from './world.ts'

/** A rotation that was begun: what replaces what, and how far it is. */
export interface Rotation {
  /** The scope that is replaced. */
  readonly old: Scope
  /** The scope that replaces it. */
  readonly next: Scope
  /** Whether the switch has been made. */
  readonly switched: boolean
}

/** How far a rotation came. Whatever stopped it, `rotate` takes it up again. */
export interface RotationResult {
  readonly next: Scope
  /**
   * `null`: it is finished. Else what failed: the new root is not in every store, certificates
   * still need the old root, or a store still holds the old root.
   */
  readonly stoppedAt: 'install' | 'renew' | 'remove' | null
  /** Of installing; of removing when that stopped it; of both when it is finished. */
  readonly outcomes: readonly StoreOutcome[]
  readonly renewals: readonly Renewal[]
  /** Of the `--on-renew` commands of renewed certificates. */
  readonly hooks: readonly HookOutcome[]
}

/**
 * Replaces a scope's root and intermediate (new subjects, new keys) without a moment in which
 * something is not trusted. Each step can be repeated after an interruption: begin (the new scope
 * is made aside), install the new root, switch (new certificates come from the new scope), renew
 * the old certificates, remove the old root, finish. Throws `no-scope`.
 */
export async function rotate(
  world: TrustWorld,
  options: Omit<StoreOptions, 'dryRun'>,
  name: string,
): Promise<RotationResult> {
  const { state, env, now, report } = world
  const begun = await beginRotation(state, name, now())
  const { old, next } = begun
  report({ type: 'rotating', old, next })
  const found = await openStores(world, options, [next])
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

/** Makes the new scope aside, or takes up an interrupted rotation. Throws `no-scope`. */
export async function beginRotation(
  state: StateDirectory,
  name: string,
  now: Date,
): Promise<Rotation> {
  return exclusively(state, async () => {
    if (!(await scopeNames(state)).includes(name)) throw noScope(name, 'rootling ca list')
    const parts = (await rotationParts(state)).filter((entry) => entry.name === name)
    const has = (wanted: RotationPart): boolean => parts.some(({ part }) => part === wanted)
    if (has('.old'))
      return {
        old: await openScope(state, name, '.old'),
        next: await openScope(state, name),
        switched: true,
      }
    const old = await openScope(state, name)
    if (!has('.next'))
      await createScope(state, await makeScope(successorOf(old), now), `${name}.next`)
    return { old, next: await openScope(state, name, '.next'), switched: false }
  })
}

/** A plan with the same names; a constrained one where an imported root may sign any name. */
function successorOf({ name, permitted, constraints, direct }: Scope) {
  const narrowed = direct && constraints === null ? localConstraints : constraints
  return { name, permitted: [...permitted], constraints: narrowed }
}

/** Makes the new scope the one that new certificates come from. */
export async function switchRotation(
  state: StateDirectory,
  { old, next }: Rotation,
): Promise<Rotation> {
  await exclusively(state, () => switchScope(state, next.name))
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

/** Deletes the old scope; its root must have left the trust stores before. */
export async function finishRotation(state: StateDirectory, { old }: Rotation): Promise<void> {
  await exclusively(state, () => deleteScope(state, `${old.name}.old`))
}
