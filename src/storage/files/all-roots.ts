import { join } from 'node:path'
import { writeFileAtomic } from '../../files/atomic.ts'
import { readText } from '../../files/read.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { readScope, rotationParts, scopeNames } from './scopes.ts'

/** The two files of all roots: with `roots-openssl.pem`, OpenSSL takes no common name for a host. */
export const allRootsFiles = ['roots.pem', 'roots-openssl.pem'] as const
export type AllRootsFile = (typeof allRootsFiles)[number]

export const allRootsPath = ({ path }: StateDirectory, file: AllRootsFile = 'roots.pem'): string =>
  join(path, file)

/** How the files begin; programs that read PEM skip the line. */
const header = '# Roots that Rootling keeps up to date here; changes are overwritten.\n'

/**
 * Returns the PEM of every root that belongs into trust stores, `local` first, and of both roots of
 * a rotation that goes on. For `roots-openssl.pem` the copies of a hardened root stand for it. A
 * damaged scope is left out.
 */
export async function allRoots(
  state: StateDirectory,
  file: AllRootsFile = 'roots.pem',
): Promise<string[]> {
  const names = (await scopeNames(state)).map((name) => ({ name, part: '' as const }))
  const roots: string[] = []
  for (const { name, part } of [...names, ...(await rotationParts(state))]) {
    const half = await readScope(state, name, part).catch(() => null)
    if (half === null || half.scope.use !== undefined) continue
    roots.push(file === 'roots-openssl.pem' ? (half.rootCopies ?? half.root) : half.root)
  }
  return [...new Set(roots)]
}

/**
 * Brings the files of all roots up to date, which programs may have been given the paths of. Call it
 * under the lock after each change of scopes. A file is made by `ca path`, which names it as `make`.
 */
export async function updateAllRoots(
  state: StateDirectory,
  { make }: { readonly make?: AllRootsFile } = {},
): Promise<void> {
  for (const file of allRootsFiles) {
    const path = allRootsPath(state, file)
    const current = await readText(path)
    if (current === null ? make !== file : !current.startsWith(header)) continue
    const data = header + (await allRoots(state, file)).join('')
    if (data !== current) await writeFileAtomic(path, { data, mode: 0o644 }, state.owner)
  }
}

/** Whether a file of all roots is there and up to date. */
export async function hasAllRoots(
  state: StateDirectory,
  file: AllRootsFile = 'roots.pem',
): Promise<boolean> {
  return (
    (await readText(allRootsPath(state, file))) === header + (await allRoots(state, file)).join('')
  )
}
