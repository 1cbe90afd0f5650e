import { unmapped } from '../x509/ip.ts'
import type { ProxyClient, RawFields } from './client.ts'

/**
 * Fields of one connection (RFC 9110 §7.6.1), which an intermediary does not send on. Of `te`,
 * `trailers` is set anew.
 */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
])

/** What says who asks, and for what: only this proxy may say it. */
const aboutClient: ReadonlySet<string> = new Set([
  'forwarded',
  'front-end-https',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-forwarded-protocol',
  'x-forwarded-scheme',
  'x-forwarded-server',
  'x-forwarded-ssl',
  'x-real-ip',
  'x-rootling-hops',
  'x-url-scheme',
])

/** Counts the proxies that a request went through, so that a loop ends. */
export const hopsField = 'x-rootling-hops'

/**
 * Returns the fields for the upstream, as HTTP/1 needs them: without those of the client's connection,
 * those that its `Connection` names, and what it says about itself and other proxies. `host` is the
 * Host for the upstream, `hops` the number of proxies with this one.
 */
export function requestFields(client: ProxyClient, host: string, hops: number): string[] {
  const { raw, framing, method, authority, remoteAddress } = client
  const fields = ['Host', host]
  let cookies: string | null = null
  let connection: string | null = null
  let trailers = false
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const value = raw[i + 1] as string
    if (name.charCodeAt(0) === 58) continue
    const lower = name.toLowerCase()
    if (lower === 'host') continue
    if (lower === 'cookie') {
      // HTTP/2 may split cookies (RFC 9113 §8.2.3).
      cookies = cookies === null ? value : `${cookies}; ${value}`
    } else if (hopByHop.has(lower)) {
      if (lower === 'connection')
        connection = connection === null ? value : `${connection},${value}`
      else if (lower === 'te') trailers ||= /(?:^|,)\s*trailers\s*(?:[;,]|$)/i.test(value)
    } else if (lower === 'content-length') {
      if (framing !== 'chunked') fields.push(name, value)
    } else if (lower === 'expect') {
      if (framing !== 'none') fields.push(name, value)
    } else if (lower === 'trailer') {
      if (framing === 'chunked') fields.push(name, value)
    } else if (!isAboutClient(lower)) fields.push(name, value)
  }
  if (cookies !== null) fields.push('Cookie', cookies)
  const kept = withoutNamed(fields, connection)
  const address = unmapped(remoteAddress)
  kept.push('X-Forwarded-For', address)
  kept.push('X-Forwarded-Host', authority)
  kept.push('X-Forwarded-Proto', 'https')
  kept.push('Forwarded', forwarded(address, authority))
  kept.push(hopsField, String(hops))
  if (framing === 'chunked') kept.push('Transfer-Encoding', 'chunked')
  else if (!has(kept, 'content-length')) {
    // Node would announce a chunked body, and RFC 9110 §8.6 asks for a length.
    if (framing === 'length') kept.push('Transfer-Encoding', 'chunked')
    else if (!bodyless.has(method)) kept.push('Content-Length', '0')
  }
  if (trailers) kept.push('TE', 'trailers', 'Connection', 'TE, keep-alive')
  return kept
}

const bodyless: ReadonlySet<string> = new Set(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE'])

/** Also with `_`, which CGI and WSGI do not tell from `-`. */
const isAboutClient = (lower: string): boolean =>
  aboutClient.has(lower.includes('_') ? lower.replaceAll('_', '-') : lower)

/** RFC 7239. */
const forwarded = (address: string, host: string): string =>
  `for=${address.includes(':') ? `"[${address}]"` : address};host="${host}";proto=https`

/** What of the fields of an answer is not sent on: browsers would keep HSTS for other ports too. */
const notAnswered: ReadonlySet<string> = new Set([...hopByHop, 'strict-transport-security'])

/** Returns the fields of an answer without those of the upstream's connection and without HSTS. */
export function answerFields(raw: RawFields): string[] {
  const fields: string[] = []
  let connection: string | null = null
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i] as string
    const lower = name.toLowerCase()
    if (lower.charCodeAt(0) === 58) continue
    if (!notAnswered.has(lower)) fields.push(name, raw[i + 1] as string)
    else if (lower === 'connection')
      connection = connection === null ? (raw[i + 1] as string) : `${connection},${raw[i + 1]}`
  }
  return withoutNamed(fields, connection)
}

/** The fields that a trailer section may not hold (RFC 9110 §6.5.1) beside those of a connection. */
const notTrailing: ReadonlySet<string> = new Set([
  ...notAnswered,
  'authorization',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'cookie',
  'host',
  'set-cookie',
  'trailer',
])

/** Returns trailers for the other end without those that a trailer section may not hold. */
export function trailerFields(raw: RawFields): string[] {
  const fields: string[] = []
  for (let i = 0; i < raw.length; i += 2) {
    const lower = (raw[i] as string).toLowerCase()
    if (lower.charCodeAt(0) !== 58 && !notTrailing.has(lower) && !isAboutClient(lower))
      fields.push(raw[i] as string, raw[i + 1] as string)
  }
  return fields
}

/** Returns trailers as node:http takes them. */
export const trailerPairs = (fields: RawFields): [string, string][] =>
  Array.from({ length: fields.length / 2 }, (_, i) => [
    fields[2 * i] as string,
    fields[2 * i + 1] as string,
  ])

/** Returns fields without those that a `Connection` field names. */
function withoutNamed(fields: string[], connection: string | null): string[] {
  if (connection === null || /^\s*(?:keep-alive|close|upgrade)\s*$/i.test(connection)) return fields
  const named = new Set(connection.split(',').map((name) => name.trim().toLowerCase()))
  // What the proxy needs to know where a request goes is no option of a connection.
  named.delete('host')
  return fields.filter((_, i) => !named.has((fields[i - (i % 2)] as string).toLowerCase()))
}

/** Returns the first value of a field, whose name is in lower case; `null`: it is absent. */
export function valueOf(fields: RawFields, name: string): string | null {
  for (let i = 0; i < fields.length; i += 2) {
    const each = fields[i] as string
    if (each.length === name.length && each.toLowerCase() === name) return fields[i + 1] as string
  }
  return null
}

export const has = (fields: RawFields, name: string): boolean => valueOf(fields, name) !== null

export function without(fields: RawFields, name: string): string[] {
  return fields.filter((_, i) => (fields[i - (i % 2)] as string).toLowerCase() !== name)
}

/** V8 makes these faster than what Object.create(null) returns, and a field may be named __proto__. */
const Bare = function Bare() {} as unknown as new () => object
Bare.prototype = Object.create(null)

/**
 * Returns the fields as an object with names in lower case, as node:http2 takes them. Values of one
 * name are joined, which means the same (RFC 9110 §5.3), except for cookies that are set.
 */
export function fieldsObject(fields: RawFields): Record<string, string | string[]> {
  const object = new Bare() as Record<string, string | string[]>
  for (let i = 0; i < fields.length; i += 2) {
    const name = (fields[i] as string).toLowerCase()
    const value = fields[i + 1] as string
    const before = object[name]
    if (before === undefined) object[name] = name === 'set-cookie' ? [value] : value
    else if (typeof before !== 'string') before.push(value)
    // node:http2 refuses lists of some fields, such as nosniff, which some apps send twice.
    else if (before !== value) object[name] = `${before}, ${value}`
  }
  return object
}
