import { RootlingError } from '../errors.ts'
import { parseIdentifier, type Identifier } from '../x509/identifier.ts'
import { localConstraints, permits } from '../x509/name-constraints.ts'
import { isTrusted, noAuthority, type AnyScope } from './scope.ts'

/**
 * Returns the narrowest scope of trusted servers that covers every identifier. Throws
 * `no-authority`, or `not-permitted`, whose hint is the command that permits what is missing.
 */
export function scopeFor<S extends AnyScope>(
  scopes: readonly S[],
  identifiers: readonly Identifier[],
): S {
  const trusted = scopes.filter(isTrusted)
  if (trusted.length === 0) throw noAuthority()
  const covering = trusted.filter((scope) => covers(scope, identifiers))
  const [narrowest] = covering.toSorted((a, b) => width(a) - width(b))
  if (narrowest !== undefined) return narrowest
  throw notPermitted(trusted, identifiers)
}

/** Whether a scope may sign every one of the identifiers. */
export const covers = (
  { constraints }: Pick<AnyScope, 'constraints'>,
  identifiers: readonly Identifier[],
): boolean =>
  constraints === null || identifiers.every((identifier) => permits(constraints, identifier))

function width({ constraints }: AnyScope): number {
  return constraints === null ? Infinity : constraints.dns.length + constraints.ip.length
}

/** A `not-permitted` error for identifiers that none of the scopes covers. */
export function notPermitted(
  scopes: readonly Pick<AnyScope, 'constraints'>[],
  identifiers: readonly Identifier[],
): RootlingError {
  const uncovered = (scope: Pick<AnyScope, 'constraints'>): Identifier[] =>
    identifiers.filter(
      (identifier) => scope.constraints !== null && !permits(scope.constraints, identifier),
    )
  const everywhere = permittedApart(scopes, identifiers)
  if (everywhere !== null) return everywhere
  // The sentence names what the scope that lacks least does not cover. The hint names all that is
  // not local, since a new scope must permit that.
  const outside = scopes.map(uncovered).toSorted((a, b) => a.length - b.length)[0] ?? []
  const names = outside.map(({ value }) => value).join(', ')
  const missing = identifiers.filter((identifier) => !permits(localConstraints, identifier))
  const toPermit = [...new Set(missing.map(permitArgument))]
  if (toPermit.includes(null))
    return new RootlingError(
      'not-permitted',
      `No constrained authority can sign ${names}: it names no host.`,
      { hint: 'rootling ca permit --unconstrained' },
    )
  // A whole top-level domain, such as a bare host name, is permitted only with --force.
  const force = toPermit.some((name) => /^[^.:]+$/.test(name ?? '')) ? ' --force' : ''
  const [is, it] = outside.length === 1 ? ['is', 'it'] : ['are', 'them']
  const permit = `rootling ca permit ${toPermit.join(' ')}${force}`
  return new RootlingError(
    'not-permitted',
    `${names} ${is} outside the names that this authority may sign; browsers would refuse ${it}.`,
    { hint: force === '' ? permit : `${localName(missing)}${permit}` },
  )
}

/**
 * Returns the error for names that several scopes permit, but no single one; `null`: it is another
 * fault. A certificate has one issuer, so one scope must permit all its names.
 */
function permittedApart(
  scopes: readonly (Pick<AnyScope, 'constraints'> & { readonly name?: string })[],
  identifiers: readonly Identifier[],
): RootlingError | null {
  const owners = identifiers.map((identifier) =>
    scopes.find(({ constraints }) => constraints === null || permits(constraints, identifier)),
  )
  if (owners.length < 2 || owners.includes(undefined)) return null
  const parts = identifiers.map(({ value }, index) => `${value} by ${owners[index]?.name}`)
  const missing = identifiers.filter((identifier) => !permits(localConstraints, identifier))
  return new RootlingError(
    'not-permitted',
    `No single scope permits all these names: ${parts.join(', ')}. A certificate is signed by one scope.`,
    { hint: `rootling ca permit ${[...new Set(missing.map(permitArgument))].join(' ')}` },
  )
}

/**
 * Proposes a name below localhost in place of a bare host name, and says what it takes to keep the
 * bare one. Returns a text to put before the command that permits it.
 */
function localName(missing: readonly Identifier[]): string {
  const bare = missing.find(({ type, value }) => type === 'dns' && /^[^.*]+$/.test(value))
  return bare === undefined
    ? ''
    : `Use ${bare.value}.localhost, which needs no permission. ${bare.value} has no dot, so it counts as a top-level domain; a scope that may sign it and all below it: `
}

/**
 * Returns the argument of `ca permit` for an identifier, its domain or address; `null`: it has
 * none.
 */
function permitArgument(identifier: Identifier): string | null {
  switch (identifier.type) {
    case 'dns':
      return identifier.value.replace(/^\*\./, '')
    case 'ip':
      return identifier.value
    case 'email':
      return identifier.value.slice(identifier.value.lastIndexOf('@') + 1)
    case 'uri':
      return hostOf(identifier.value)
  }
}

/**
 * Returns a URI's host if it is a host name; `null`: name constraints cannot permit an address in a
 * URI.
 */
function hostOf(uri: string): string | null {
  try {
    const host = parseIdentifier(new URL(uri).hostname)
    return host.type === 'dns' && !host.value.startsWith('*.') ? host.value : null
  } catch {
    return null
  }
}
