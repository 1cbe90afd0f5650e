import { extensionOf, readLenientParts } from './certificate-reader.ts'
import { readConstraints, type Constraints } from './foreign-extensions.ts'
import type { Name } from './foreign-names.ts'
import { parseIpRange } from './ip.ts'
import { localConstraints } from './name-constraints.ts'

/** The types of names that a TLS server can have. */
const serverTypes = ['dns', 'ip'] as const
export type ServerNameType = (typeof serverTypes)[number]

/**
 * The share of all IPv4 or IPv6 addresses from which permitted ranges count as no constraint. All
 * private and link-local ranges together are a hundredth of either; the addresses of IPv6 that are
 * in use on the internet are an eighth.
 */
const wideShare = 1 / 64

/**
 * Returns the types of server names for which the nameConstraints of an authority leave it free to
 * sign any name; `null` means an authority without nameConstraints. A type is free without a
 * permitted subtree of that type, whatever is permitted of other types (RFC 5280 §4.2.1.10), and
 * with one that every name is in, or every name of a top-level domain. It is not free when every name of it is excluded. What cannot be
 * understood counts as no constraint.
 */
export function freeTypes(constraints: Constraints | null): readonly ServerNameType[] {
  if (constraints === null) return serverTypes
  const { permitted, excluded } = constraints
  const of = (names: readonly Name[], wanted: ServerNameType): string[] =>
    names.flatMap(({ type, value }) => (type === wanted ? [value] : []))
  const isFree = (type: ServerNameType): boolean => {
    const bases = of(permitted, type)
    return !isAll(type, of(excluded, type)) && (bases.length === 0 || isWide(type, bases))
  }
  return serverTypes.filter(isFree)
}

/** What a root of another authority is held to. */
export interface Limits {
  /** Its nameConstraints; `null`: it has none, or clients may pass over them. */
  readonly constraints: Constraints | null
  /** The types of server names for which it may sign any name. */
  readonly free: readonly ServerNameType[]
  /** Whether it has nameConstraints that clients may pass over. */
  readonly uncritical: boolean
}

/** Says of a root why it counts as unconstrained although it has nameConstraints. */
export const whyUncritical =
  'its name constraints are not critical, so that clients may pass over them'

/**
 * Returns what limits a root of another authority, given as DER. nameConstraints that are not
 * critical count as none: clients may pass over them (RFC 5280 §4.2). So do repeated ones, of which
 * each client may obey another. Throws `bad-der`.
 */
export function limitsOf(root: Buffer): Limits {
  const parts = readLenientParts(root)
  const value = extensionOf(parts, nameConstraintsOid)
  const uncritical = parts.extensions.get(nameConstraintsOid)?.critical === false
  const counts = !uncritical && !parts.repeated.includes(nameConstraintsOid)
  const constraints = value !== null && counts ? readConstraints(value) : null
  return { constraints, free: freeTypes(constraints), uncritical }
}

/** nameConstraints (RFC 5280 §4.2.1.10). */
const nameConstraintsOid = '2.5.29.30'

/**
 * Whether every name of a type is below one of these names, or in one of these ranges. No name is
 * below `.` to OpenSSL, so only an empty name excludes all.
 */
function isAll(type: ServerNameType, excluded: readonly string[]): boolean {
  return type === 'dns'
    ? excluded.includes('')
    : excluded.includes('0.0.0.0/0') && excluded.includes('::/0')
}

function isWide(type: ServerNameType, permitted: readonly string[]): boolean {
  if (type === 'dns') return permitted.some((name) => isEmptyName(name) || isPublicDomain(name))
  const shares = { v4: 0, v6: 0 }
  for (const text of permitted) {
    const range = text.includes('/') ? parseIpRange(text) : null
    if (range === null) return true
    shares[range.address.length === 4 ? 'v4' : 'v6'] += 2 ** -range.prefix
  }
  return Math.max(shares.v4, shares.v6) >= wideShare
}

/** Whether a name is a whole top-level domain that is not among the local ones, such as `com`. */
export function isPublicDomain(name: string): boolean {
  const label = name.replace(/^\./, '').toLowerCase()
  return label !== '' && !label.includes('.') && !localConstraints.dns.includes(label)
}

const isEmptyName = (name: string): boolean => /^\.?$/.test(name)
