import { join } from 'node:path'
import { writeFileAtomic } from '../../files/atomic.ts'
import { readText } from '../../files/read.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { readScope, rotationParts, scopeNames } from './scopes.ts'

export const allRootsPath = ({ path }: StateDirectory): string => join(path, 'roots.pem')

/** How the file begins; programs that read PEM skip the line. */
const header = '# Roots that Rootling keeps up to date here; changes are overwritten.\n'

/**
 * Returns the PEM of every root that belongs into trust stores, `local` first, and of both roots of
 * a rotation that goes on. A damaged scope is left out.
 */
export async function allRoots(state: StateDirectory): Promise<string[]> {
  const names = (await scopeNames(state)).map((name) => ({ name, part: '' as const }))
  const roots: string[] = []
  for (const { name, part } of [...names, ...(await rotationParts(state))]) {
    const half = await readScope(state, name, part).catch(() => null)
    if (half !== null && half.scope.use === undefined) roots.push(half.root)
  }
  return [...new Set(roots)]
}

/**
 * Brings the file of all roots up to date, which programs may have been given the path of. Call it
 * under the lock after each change of scopes. The file is made by `ca path`, which passes `make`.
 */
export async function updateAllRoots(state: StateDirectory, { make = false } = {}): Promise<void> {
  const path = allRootsPath(state)
  const current = await readText(path)
  if (current === null ? !make : !current.startsWith(header)) return
  const data = header + (await allRoots(state)).join('')
  if (data !== current) await writeFileAtomic(path, { data, mode: 0o644 }, state.owner)
}

/** Whether the file of all roots is there and up to date. */
export async function hasAllRoots(state: StateDirectory): Promise<boolean> {
  return (await readText(allRootsPath(state))) === header + (await allRoots(state)).join('')
}
