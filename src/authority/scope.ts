import { X509Certificate } from 'node:crypto'
import { RootlingError, UnknownName } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import {
  damaged,
  readScope,
  rootCopiesPath,
  rootPath,
  rotationParts,
  scopeNames,
  scopePath,
} from '../storage/files/scopes.ts'
import type { PublicHalf, RotationPart } from '../storage/scopes.ts'
import type { Storage } from '../storage/storage.ts'
import type { NameConstraints } from '../x509/name-constraints.ts'
import { parseValidity, type AuthorityUse, type Validity } from '../x509/profiles.ts'

/** A root and its intermediate, with what they may sign. */
export interface AnyScope {
  readonly name: string
  readonly use: AuthorityUse
  readonly created: string
  /** What `ca permit` was given beyond the local names. */
  readonly permitted: readonly string[]
  /** `null`: may sign any name. */
  readonly constraints: NameConstraints | null
  /** Both certificates are parsed at their first use, since each takes half a millisecond. */
  readonly root: X509Certificate
  readonly intermediate: X509Certificate
  /** PEM of the certificates between leaf and root; empty where the root signs leaves. */
  readonly issuers: string
  /** The intermediate's. */
  readonly validity: Validity
  readonly rootNotAfter: Date
  readonly keyDigest: string
  /**
   * What OpenSSL and programs built on it read in place of the root, so that they take no common
   * name for a host; `null`: the scope is not hardened.
   */
  readonly copies: Pick<RootCopies, 'pem'> | null
  readonly issuerName: Buffer
  readonly issuerKeyIdentifier: Buffer
  /** Whether the root signs leaves itself, as an imported one does; then it is `intermediate` too. */
  readonly direct: boolean
}

/** A scope in a state directory, with the files that programs of this machine can be given. */
export interface Scope extends AnyScope {
  /** The root's file, for programs that take the path of a CA. */
  readonly rootPath: string
  readonly copies: RootCopies | null
}

/** The copies of a hardened root, see `signRootCopies`, and the file with both. */
export interface RootCopies {
  readonly pem: string
  readonly path: string
}

/** Returns the PEM and the file of the root for OpenSSL and programs built on it, such as Node. */
export const rootForOpenssl = ({ root, rootPath: path, copies }: Scope): RootCopies =>
  copies ?? { pem: root.toString(), path }

type Stored = Pick<Storage, 'scopes' | 'place'>

/** Every scope, `local` first; none: there is no authority yet. Throws `corrupt-state`. */
export async function scopesIn({ scopes, place }: Stored): Promise<AnyScope[]> {
  const names = await scopes.names()
  return Promise.all(
    names.map(async (name) => parsedScope(await scopes.read(name), `${name} in ${place}`)),
  )
}

/** Reads the scopes that rotations keep beside the others as this part. Throws `corrupt-state`. */
export async function scopesInPart(
  { scopes, place }: Stored,
  part: RotationPart,
): Promise<AnyScope[]> {
  const kept = (await scopes.parts()).filter((one) => one.part === part)
  return Promise.all(
    kept.map(async ({ name }) =>
      parsedScope(await scopes.read(name, part), `${name}${part} in ${place}`),
    ),
  )
}

/** Reads a scope by its name. Throws `no-authority`, and `no-scope` with the names of the others. */
export async function scopeIn({ scopes, place }: Stored, name: string): Promise<AnyScope> {
  const names = await scopes.names()
  if (names.length === 0) throw noAuthority()
  if (names.includes(name)) return parsedScope(await scopes.read(name), `${name} in ${place}`)
  throw noScope(name, `The scopes are: ${names.join(', ')}`)
}

/** What `scopesIn` returns, of a state directory, with the paths of files. */
export async function readScopes(state: StateDirectory): Promise<Scope[]> {
  return Promise.all((await scopeNames(state)).map((name) => openScope(state, name)))
}

/**
 * Whether the root of a scope belongs into trust stores. The other roots are for programs that are
 * given their files.
 */
export const isTrusted = ({ use }: AnyScope): boolean => use === 'servers'

/** Reads the scopes whose roots belong into trust stores, as `readScopes` does. */
export async function readTrustedScopes(state: StateDirectory): Promise<Scope[]> {
  return (await readScopes(state)).filter(isTrusted)
}

/**
 * Reads every scope, as `readScopes` does, where at least one is needed. Throws `no-authority`,
 * `corrupt-state`.
 */
export async function requireScopes(state: StateDirectory): Promise<Scope[]> {
  const scopes = await readScopes(state)
  if (scopes.length === 0) throw noAuthority()
  return scopes
}

export const noAuthority = (): RootlingError =>
  new RootlingError('no-authority', 'There is no certificate authority yet.', {
    hint: 'rootling install',
  })

/**
 * Reads a scope by its name. `hint` makes the hint for `no-scope` from the names of the existing
 * scopes. Throws `no-authority`, `no-scope`.
 */
export async function requireScope(
  state: StateDirectory,
  name: string,
  hint: (names: readonly string[]) => string,
): Promise<Scope> {
  const names = await scopeNames(state)
  if (names.length === 0) throw noAuthority()
  if (names.includes(name)) return openScope(state, name)
  throw noScope(name, hint(names))
}

/** A `no-scope` error. */
export function noScope(name: string, hint: string): UnknownName {
  return new UnknownName('no-scope', `There is no scope named ${name}.`, { hint })
}

/** Reads the scopes that unfinished rotations keep beside the others. Damaged ones are left out. */
export async function readScopesInRotation(state: StateDirectory): Promise<Scope[]> {
  const scopes: Scope[] = []
  for (const { name, part } of await rotationParts(state))
    scopes.push(
      ...(await openScope(state, name, part).then(
        (scope) => [scope],
        () => [],
      )),
    )
  return scopes
}

/**
 * Reads a scope without its key, and checks its files against their digests. Throws
 * `corrupt-state`.
 */
export async function openScope(
  state: StateDirectory,
  name: string,
  part: RotationPart | '' = '',
): Promise<Scope> {
  const half = await readScope(state, name, part)
  const pem = half.rootCopies
  // The members are added to the object itself: a copy of it would parse both certificates.
  return Object.assign(parsedScope(half, scopePath(state, name + part)), {
    rootPath: rootPath(state, name + part),
    copies: pem === undefined ? null : { pem, path: rootCopiesPath(state, name + part) },
  })
}

/** `place` is where it is stored, for sentences. */
function parsedScope(
  { scope, root, rootCopies, intermediate, keyDigest }: PublicHalf,
  place: string,
): AnyScope {
  const { name } = scope
  const direct = root === intermediate
  const parsed: { root?: X509Certificate; intermediate?: X509Certificate } = {}
  return {
    name,
    use: scope.use ?? 'servers',
    created: scope.created,
    permitted: scope.permitted,
    constraints: scope.constraints,
    get root() {
      return (parsed.root ??= parseStored(root, `${place}/root.pem`, name))
    },
    get intermediate() {
      const path = `${place}/intermediate.pem`
      return (parsed.intermediate ??= parseStored(intermediate, path, name))
    },
    issuers: direct ? '' : intermediate,
    validity: parseValidity(scope),
    rootNotAfter: new Date(scope.rootNotAfter),
    keyDigest,
    copies: rootCopies === undefined ? null : { pem: rootCopies },
    issuerName: Buffer.from(scope.issuerName, 'base64'),
    issuerKeyIdentifier: Buffer.from(scope.issuerKeyIdentifier, 'hex'),
    direct,
  }
}

function parseStored(pem: string, path: string, name: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch (error) {
    throw damaged(path, name, error)
  }
}
