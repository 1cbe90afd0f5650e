import { malformed } from './problems.ts'

type Payload = Readonly<Record<string, unknown>>

/**
 * Reads a string. `text`, `flag`, `list` and `time` return `undefined` for an absent member, also one
 * that is written as `null`, and throw malformed for a value of another type.
 */
export function text(payload: Payload, name: string): string | undefined {
  return typed(payload, name, 'a string', (value): value is string => typeof value === 'string')
}

export function flag(payload: Payload, name: string): boolean | undefined {
  return typed(payload, name, 'true or false', (value) => typeof value === 'boolean')
}

export function list(payload: Payload, name: string): readonly unknown[] | undefined {
  return typed(payload, name, 'an array', (value) => Array.isArray(value))
}

/**
 * Reads a time in RFC 3339's form, as milliseconds since 1970. The zero time of Go counts as absent:
 * many versions of step send it for the dates that their user did not ask for.
 */
export function time(payload: Payload, name: string): number | undefined {
  const value = text(payload, name)
  if (value === undefined || value === zeroTime) return undefined
  const shape = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)$/
  const milliseconds = shape.test(value) ? Date.parse(value) : Number.NaN
  if (Number.isNaN(milliseconds))
    throw malformed(
      `The member ${name} is not a time in the form of RFC 3339, such as 2030-01-31T12:00:00Z.`,
    )
  return milliseconds
}

const zeroTime = '0001-01-01T00:00:00Z'

/** Reads DER in base64url without padding. Throws malformed, even for an absent member. */
export function octets(payload: Payload, name: string): Buffer {
  const value = text(payload, name) ?? ''
  if (!/^[A-Za-z0-9_-]+$/.test(value)) throw malformed(`The member ${name} is not in base64url.`)
  return Buffer.from(value, 'base64url')
}

export const isObject = (value: unknown): value is Payload =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function typed<T>(
  payload: Payload,
  name: string,
  wanted: string,
  is: (value: unknown) => value is T,
): T | undefined {
  const value = payload[name]
  if (value === undefined || value === null) return undefined
  if (is(value)) return value
  throw malformed(`The member ${name} is not ${wanted}.`)
}
