import { explicit, implicit, sequence } from './asn1.ts'
import type { Identifier } from './identifier.ts'
import { inRange, ipBytes, maskOf, parseIpRange } from './ip.ts'

/**
 * The names that a scope may sign (RFC 5280 §4.2.1.10). `dns` applies to the hosts of e-mail
 * addresses and URIs too, since without a constraint for their type any of them would be permitted.
 */
export interface NameConstraints {
  /** Each permits the name and all names below it. */
  readonly dns: readonly string[]
  /** Ranges in CIDR form; an empty list permits no address. */
  readonly ip: readonly string[]
}

/** Names and addresses that are used only within a machine or a private network. */
export const localConstraints: NameConstraints = {
  dns: [
    'localhost', // RFC 6761
    'test', // RFC 6761
    'local', // RFC 6762
    'internal', // reserved by ICANN in 2024
    'home.arpa', // RFC 8375
    'lan',
    'localdomain',
    'example', // RFC 6761
    'invalid', // RFC 6761
  ],
  ip: [
    '127.0.0.0/8',
    '10.0.0.0/8',
    '172.16.0.0/12',
    '192.168.0.0/16',
    '169.254.0.0/16',
    '::1/128',
    'fe80::/10',
    'fc00::/7',
  ],
}

/** Returns constraints that permit these domains and ranges too. */
export function widen(base: NameConstraints, permitted: readonly string[]): NameConstraints {
  const isRange = (text: string): boolean => parseIpRange(text) !== null
  return {
    dns: [...new Set([...base.dns, ...permitted.filter((text) => !isRange(text))])],
    ip: [...new Set([...base.ip, ...permitted.filter(isRange)])],
  }
}

/** Whether the constraints permit an identifier. */
export function permits(constraints: NameConstraints, identifier: Identifier): boolean {
  switch (identifier.type) {
    case 'dns':
      return underAny(identifier.value.replace(/^\*\./, ''), constraints.dns)
    case 'email':
      return underAny(
        identifier.value.slice(identifier.value.lastIndexOf('@') + 1),
        constraints.dns,
      )
    case 'uri': {
      // A URI without a host name fails any URI constraint (RFC 5280 §4.2.1.10).
      const host = new URL(identifier.value).hostname.toLowerCase()
      return host !== '' && underAny(host, constraints.dns)
    }
    case 'ip': {
      const address = ipBytes(identifier.value)
      const isIPv6 = identifier.value.includes(':')
      return constraints.ip.some((range) => {
        // A range of the other IP version is not parsed, since parsing takes most of the time here.
        const parsed = range.includes(':') === isIPv6 ? parseIpRange(range) : null
        return parsed !== null && inRange(address, parsed)
      })
    }
  }
}

function underAny(name: string, bases: readonly string[]): boolean {
  return bases.some((base) => name === base || name.endsWith(`.${base}`))
}

/**
 * Encodes the NameConstraints value: the permitted subtrees and, where no address is permitted, the
 * exclusion of all addresses. With `no subjects`, also the exclusion of the empty directoryName,
 * below which is every subject but the empty one.
 */
export function encodeNameConstraints(
  constraints: NameConstraints,
  subjects: 'any subject' | 'no subjects' = 'any subject',
): Buffer {
  const permitted: Buffer[] = []
  const subtree = (tag: number, base: Uint8Array) => sequence(implicit(tag, base))
  for (const name of constraints.dns) permitted.push(subtree(2, Buffer.from(name)))
  for (const range of constraints.ip) permitted.push(subtree(7, rangeOctets(range)))
  // In the constraint of a mailbox or URI, a host means that host alone; with a dot before it, it
  // means all hosts below.
  for (const tag of [1, 6])
    for (const name of constraints.dns)
      permitted.push(subtree(tag, Buffer.from(name)), subtree(tag, Buffer.from(`.${name}`)))
  const excluded: Buffer[] = []
  if (constraints.ip.length === 0)
    excluded.push(...['0.0.0.0/0', '::/0'].map((range) => subtree(7, rangeOctets(range))))
  if (subjects === 'no subjects') excluded.push(sequence(explicit(4, sequence())))
  return sequence(
    explicit(0, ...permitted),
    ...(excluded.length > 0 ? [explicit(1, ...excluded)] : []),
  )
}

function rangeOctets(text: string): Buffer {
  const range = parseIpRange(text)
  if (range === null) throw new RangeError(`not an address range: ${text}`)
  return Buffer.concat([range.address, maskOf(range.address.length, range.prefix)])
}
