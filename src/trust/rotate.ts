import { X509Certificate } from 'node:crypto'
import { makeScope } from '../authority/ceremony.ts'
import { noScope, openScope, type Scope } from '../authority/scope.ts'
import { renew, type Renewal } from '../certificates/renew.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { exclusively } from '../storage/files/pending.ts'
import {
  createScope,
  deleteScope,
  rotationParts,
  scopeNames,
  switchScope,
  type RotationPart,
} from '../storage/files/scopes.ts'
import { localConstraints } from '../x509/name-constraints.ts'

/**
 * A rotation replaces a scope's root and intermediate (new subjects, new keys) without a moment in
 * which something is not trusted. Its steps, each of which can be repeated after an interruption:
 * begin (the new scope is made aside), the new root is installed, switch (new certificates come
 * from the new scope), the old certificates are renewed, the old root is removed, finish.
 */
export interface Rotation {
  /** The scope that goes. */
  readonly old: Scope
  /** The scope that comes. */
  readonly next: Scope
  /** Whether the switch has been made. */
  readonly switched: boolean
}

/** Begins a rotation, or takes up the one that was interrupted. Throws `no-scope`. */
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

/** The same names; an imported root that could sign anything is followed by a constrained one. */
function successorOf({ name, permitted, constraints, direct }: Scope) {
  const narrowed = direct && constraints === null ? localConstraints : constraints
  return { name, permitted: [...permitted], constraints: narrowed }
}

/** From here on, certificates come from the new scope. */
export async function switchRotation(
  state: StateDirectory,
  { old, next }: Rotation,
): Promise<Rotation> {
  await exclusively(state, () => switchScope(state, next.name))
  return { old, next: await openScope(state, next.name), switched: true }
}

/** Renews what the old scope signed and still stands in its file. */
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
