import { join } from 'node:path'
import { RootlingError } from '../errors.ts'
import { stampOf } from '../files/stamp.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { readScope, rotationParts, scopeNames, stampOfScopes } from '../storage/files/scopes.ts'
import { readTrustedRoots } from '../storage/files/trusted-roots.ts'

/** The roots that programs are to trust beside those of the system. */
export interface OwnRoots {
  /** Changes whenever the roots change. */
  readonly stamp: string
  /** Throws `corrupt-state`. */
  readonly read: () => Promise<{
    /** PEM: of every scope that trust stores hold, and of others that `trust` recorded. */
    readonly pem: string
    /** The domains whose names the scopes may sign, without those of scopes that sign any name. */
    readonly domains: readonly string[]
  }>
}

/** Finds the roots of an authority. Throws `no-authority`. */
export async function findOwnRoots(state: StateDirectory): Promise<OwnRoots> {
  if ((await scopeNames(state)).length === 0)
    throw new RootlingError('no-authority', 'There is no certificate authority yet.', {
      hint: 'rootling install',
    })
  const trusted = await stampOf(join(state.path, 'trusted-roots.json'))
  return { stamp: `${await stampOfScopes(state)} ${trusted}`, read: () => readRoots(state) }
}

async function readRoots(state: StateDirectory): Promise<{ pem: string; domains: string[] }> {
  const names = (await scopeNames(state)).map((name) => ({ name, part: '' as const }))
  const pem: string[] = []
  const domains: string[] = []
  for (const { name, part } of [...names, ...(await rotationParts(state))]) {
    const { scope, root, rootCopies } = await readScope(state, name, part)
    if (scope.use !== undefined) continue
    // OpenSSL, and so most programs, take no common name for a host with the copies.
    pem.push(rootCopies ?? root)
    domains.push(...(scope.constraints?.dns ?? []))
  }
  for (const root of await readTrustedRoots(state)) pem.push(root.pem)
  return { pem: pem.join('\n'), domains: [...new Set(domains)] }
}
