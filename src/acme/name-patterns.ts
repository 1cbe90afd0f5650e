import { RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { inRange, ipBytes, ipRangeText, ipText, parseIpRange } from '../x509/ip.ts'
import type { AcmeIdentifier } from './resources.ts'

/**
 * Reads a pattern for the names that the accounts of a key may order, and returns it in its one form.
 * `api.team.internal` is that name alone. `*.team.internal` is every name below `team.internal`, however
 * many labels it has, and every wildcard there, such as `*.team.internal` itself and `*.a.team.internal`;
 * it is not `team.internal`. An address or a range, such as `10.2.0.0/16`, is for addresses, and nothing
 * else is. Throws `usage`.
 */
export function parseNamePattern(text: string): string {
  const range = parseIpRange(text)
  if (range !== null)
    return range.prefix === range.address.length * 8 ? ipText(range.address) : ipRangeText(range)
  let cause: unknown
  try {
    const { type, value } = parseIdentifier(text)
    if (type === 'dns') return value
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    cause = error
  }
  throw new RootlingError(
    'usage',
    `${printable(text).slice(0, 200)} is not a name, *.DOMAIN, an address or a range of addresses.`,
    { hint: 'For example api.team.internal, *.team.internal, 10.2.0.7 or 10.2.0.0/16', cause },
  )
}

/** Whether one of these patterns, as `parseNamePattern` returns them, is for an identifier. */
export const fitsPattern = (
  { type, value }: AcmeIdentifier,
  patterns: readonly string[],
): boolean =>
  patterns.some((pattern) => {
    if (type === 'dns')
      return value === pattern || (pattern.startsWith('*.') && value.endsWith(pattern.slice(1)))
    const range = parseIpRange(pattern)
    return range !== null && inRange(ipBytes(value), range)
  })
