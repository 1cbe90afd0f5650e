import { isIP } from 'node:net'
import { RootlingError } from '../errors.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import type { Validity } from '../x509/profiles.ts'
import type { AcmeAuthority } from './acme-authority.ts'
import { isObject } from './payload.ts'
import { AcmeProblem, detailOf, malformed, type Subproblem } from './problems.ts'
import type { AcmeIdentifier } from './resources.ts'

const mostIdentifiers = 100

/**
 * Reads the identifiers of an order (RFC 8555 §7.1.4, RFC 8738), without duplicates. Throws a
 * problem that names each faulty identifier in a subproblem.
 */
export function readIdentifiers(value: readonly unknown[] | undefined): AcmeIdentifier[] {
  if (value === undefined || value.length === 0) throw malformed('The order has no identifiers.')
  if (value.length > mostIdentifiers)
    throw malformed(
      `${value.length} identifiers are too many for one order; ${mostIdentifiers} are the most.`,
    )
  const found = new Map<string, AcmeIdentifier>()
  const faults: Subproblem[] = []
  for (const entry of value) {
    if (!isObject(entry) || typeof entry['type'] !== 'string' || typeof entry['value'] !== 'string')
      throw malformed('An identifier is not an object with a type and a value.')
    const asked = { type: entry['type'], value: entry['value'] }
    const understood = readIdentifier(asked.type, asked.value)
    if ('detail' in understood) faults.push({ ...understood, identifier: shown(asked) })
    else found.set(`${understood.type}:${understood.value}`, understood)
  }
  throwFaults(faults)
  return [...found.values()]
}

type Fault = Omit<Subproblem, 'identifier'>

function readIdentifier(type: string, value: string): AcmeIdentifier | Fault {
  if (type !== 'dns' && type !== 'ip')
    return {
      type: 'unsupportedIdentifier',
      detail: `Identifiers of the type ${type.slice(0, 40)} are not supported; use dns or ip.`,
    }
  if (type === 'dns' && isIP(value) !== 0)
    return {
      type: 'malformed',
      detail: `${value} is an address: it belongs in an identifier of the type ip (RFC 8738), which older clients, such as lego before 4.10, cannot send.`,
    }
  if (type === 'dns' && value.endsWith('.'))
    return {
      type: 'malformed',
      detail: `The name ${JSON.stringify(value.slice(0, 260))} ends with a dot; write it without.`,
    }
  // Certificates name A-labels (RFC 8555 §7.1.4), to which the client has to convert its names.
  if (type === 'dns' && !/^[\x21-\x7e]+$/.test(value))
    return {
      type: 'malformed',
      detail: `The name ${JSON.stringify(value.slice(0, 80))} is not one of ASCII letters, digits, hyphens and dots.`,
    }
  try {
    const identifier = parseIdentifier(value)
    if (identifier.type === type && identifier.value.length <= 253)
      return { type, value: identifier.value }
    return {
      type: 'malformed',
      detail: `${value.slice(0, 80)} is not an identifier of the type ${type}.`,
    }
  } catch (error) {
    if (error instanceof RootlingError) return { type: 'malformed', detail: detailOf(error) }
    throw error
  }
}

/** Returns the identifier that the client sent, cut to a length that fits in an answer. */
function shown({ type, value }: { type: string; value: string }): AcmeIdentifier {
  return { type: type.slice(0, 40) as 'dns', value: value.slice(0, 260) }
}

/**
 * Throws rejectedIdentifier for names that the authority would not sign; it tells the command that
 * permits them.
 */
export async function checkPermitted(
  authority: AcmeAuthority,
  identifiers: readonly AcmeIdentifier[],
  dates: Validity | null,
): Promise<void> {
  const faults: Subproblem[] = []
  for (const identifier of identifiers) {
    const error = await refusal(authority.check([identifier], null))
    if (error !== null)
      faults.push({ type: 'rejectedIdentifier', detail: detailOf(error), identifier })
  }
  throwFaults(faults)
  const error = await refusal(authority.check(identifiers, dates))
  if (error === null) return
  if (error.code === 'usage') throw malformed(detailOf(error))
  throw new AcmeProblem('rejectedIdentifier', detailOf(error))
}

/**
 * Returns the authority's refusal; `null` when it permits the order. Throws errors that are not the
 * order's fault.
 */
async function refusal(check: Promise<void>): Promise<RootlingError | null> {
  try {
    await check
    return null
  } catch (error) {
    const ofOrder =
      error instanceof RootlingError && /^(?:not-permitted|bad-name|usage)$/.test(error.code)
    if (ofOrder) return error
    throw error
  }
}

/**
 * Throws a problem for these faults, if there are any. Where their types differ, the problem is
 * malformed, and the subproblems name the types.
 */
export function throwFaults(faults: readonly Subproblem[]): void {
  const [first] = faults
  if (first === undefined) return
  const same = faults.every(({ type }) => type === first.type)
  const detail =
    faults.length === 1
      ? first.detail
      : `${faults.length} identifiers were refused. ${faults.map((one) => one.detail).join(' ')}`
  throw new AcmeProblem(same ? first.type : 'malformed', detail.slice(0, 2_000), {
    subproblems: faults,
  })
}
