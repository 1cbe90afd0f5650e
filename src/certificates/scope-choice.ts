import { covers, notPermitted, scopeFor } from '../authority/coverage.ts'
import { noAuthority, noScope, readScopes, type Scope } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { issueAgain } from '../storage/issue-again.ts'
import type { Purpose } from '../storage/records.ts'
import type { Identifier } from '../x509/identifier.ts'
import { localConstraints, permits } from '../x509/name-constraints.ts'
import type { AuthorityUse } from '../x509/profiles.ts'
import { useOf } from './use.ts'

/** What decides which scope signs a certificate. */
export interface Wanted {
  readonly purpose: Purpose
  readonly identifiers: readonly Identifier[]
  /** The subject, in the text form of RFC 4514; default: one that is made from the identifiers. */
  readonly subject?: string | undefined
  /** The name of a scope; default: the scope for clients or mail, or the narrowest for servers. */
  readonly scope?: string | undefined
  /** Whether the authority is created where there is none. */
  readonly create?: boolean | undefined
}

/**
 * Returns the scope that signs a certificate; creates the scope for clients or mail where there is
 * none yet. Throws `no-authority`, `no-scope`, `not-permitted`, and `usage` where the named scope
 * is for other certificates, or where a subject was asked for in a scope that stores trust.
 */
export async function chooseScope(
  state: StateDirectory,
  wanted: Wanted,
  now: Date,
): Promise<Scope> {
  const scopes = await readScopes(state)
  const use = useOf(wanted)
  if (scopes.length === 0 && wanted.create === true) {
    await createFor(state, wanted, now)
    return chooseScope(state, { ...wanted, create: false }, now)
  }
  if (wanted.scope !== undefined) return namedScope(scopes, { ...wanted, scope: wanted.scope })
  if (use !== 'servers') {
    // Loaded only here, since most certificates are for servers.
    const { ensureScopeFor } = await import('../authority/create.ts')
    return ensureScopeFor(state, use, now)
  }
  if (wanted.subject !== undefined) throw subjectRefused()
  return scopeFor(scopes, wanted.identifiers)
}

/**
 * Creates the authority for a first certificate, unless its scope would refuse it: `local` signs
 * local names alone.
 */
async function createFor(state: StateDirectory, wanted: Wanted, now: Date): Promise<void> {
  if (wanted.scope !== undefined && wanted.scope !== 'local') throw noAuthority()
  const isForServers = useOf(wanted) === 'servers'
  if (isForServers && wanted.subject !== undefined) throw subjectRefused()
  if (isForServers && !wanted.identifiers.every((each) => permits(localConstraints, each)))
    throw notPermitted([{ constraints: localConstraints }], wanted.identifiers)
  const { ensureAuthority } = await import('../authority/create.ts')
  await ensureAuthority(state, now)
}

/**
 * Returns the scope that signs a certificate anew: the one that signed it before, if that still may;
 * else what `chooseScope` chooses. Throws what that throws.
 */
export async function chooseScopeAgain(
  state: StateDirectory,
  scopes: readonly Scope[],
  previous: Wanted & { readonly scope: string },
  now: Date,
): Promise<Scope> {
  const same = scopes.find(({ name }) => name === previous.scope)
  if (same !== undefined && signs(same, previous) && covers(same, previous.identifiers)) {
    if (refusesSubject(same, previous)) throw subjectRefused()
    return same
  }
  const { scope, ...wanted } = previous
  // The scope may have been private, and no store must come to trust its certificates in new files.
  if (useOf(wanted) === 'servers' && same === undefined)
    throw noScope(scope, `To have another scope sign it: ${issueAgain(previous)}`)
  return chooseScope(state, wanted, now)
}

function namedScope(scopes: readonly Scope[], wanted: Wanted & { readonly scope: string }): Scope {
  const scope = scopes.find(({ name }) => name === wanted.scope)
  if (scope === undefined) throw noScope(wanted.scope, 'rootling ca list')
  const use = useOf(wanted)
  if (!signs(scope, wanted))
    throw new RootlingError(
      'usage',
      `The scope ${scope.name} signs ${signed[scope.use]} certificates, and this is a ${signed[use]} certificate.`,
      { hint: 'Leave out --scope' },
    )
  if (refusesSubject(scope, wanted)) throw subjectRefused()
  if (!covers(scope, wanted.identifiers)) throw notPermitted([scope], wanted.identifiers)
  return scope
}

const signed: Readonly<Record<AuthorityUse, string>> = {
  servers: 'server',
  private: 'server',
  clients: 'client',
  mail: 'mail',
}

/**
 * Whether a scope signs certificates of this kind. A root that signs leaves itself was made by
 * another program and names no purpose.
 */
function signs({ use, direct }: Scope, wanted: Wanted): boolean {
  const asked = useOf(wanted)
  return use === asked || direct || (use === 'private' && asked === 'servers')
}

const refusesSubject = (scope: Scope, wanted: Wanted): boolean =>
  wanted.subject !== undefined && scope.use === 'servers' && useOf(wanted) === 'servers'

function subjectRefused(): RootlingError {
  return new RootlingError(
    'usage',
    'A certificate of a scope that trust stores hold has no common name.',
    {
      hint: 'Add --client, or make a scope that no store holds: rootling ca permit --private NAME; then add --scope NAME',
    },
  )
}
