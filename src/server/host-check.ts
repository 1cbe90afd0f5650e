import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { unmapped } from '../x509/ip.ts'
import type { Request } from './http.ts'

/**
 * Whether a request names a host of this server: a name or address of its certificate, `localhost`,
 * or the address that the connection came in on. The host of a web page that rebinds its own name
 * to loopback is none of these; such a request gets 421.
 */
export function isOurHost(request: Request): boolean {
  const host = hostOf(request)
  if (host === null) return false
  if (host === 'localhost') return true
  const socket = request.socket as TLSSocket
  if (isIP(host) > 0 && host === unmapped(socket.localAddress ?? '')) return true
  const certificate = socket.getX509Certificate()
  if (certificate === undefined) return false
  const covers =
    isIP(host) > 0
      ? certificate.checkIP(host)
      : certificate.checkHost(host, { subject: 'never', partialWildcards: false })
  return covers !== undefined
}

/**
 * Whether a request over plain HTTP names `localhost` or a name below it, 127/8, ::1, or the
 * address that the connection came in on.
 */
export function isLoopbackHost(request: IncomingMessage): boolean {
  // Only HTTP/1.0 may leave out the Host header, and no browser speaks HTTP/1.0 any more.
  if (request.headers.host === undefined)
    return request.httpVersion === '1.0' && isOriginForm(request)
  const host = hostOf(request)
  if (host === null) return false
  if (isIP(host) === 0) return host === 'localhost' || host.endsWith('.localhost')
  const own = unmapped(request.socket.localAddress ?? '')
  return host === '::1' || host.startsWith('127.') || host === own
}

/**
 * Returns the host that a request names, in lower case, without port and brackets. Returns `null`
 * when the request names none, or several (a second Host, a Host that differs from `:authority`, a
 * target with a host of its own).
 */
export function hostOf(request: Request): string | null {
  const named = namedHosts(request)
  const [authority] = named
  if (authority === undefined || named.size > 1 || !isOriginForm(request)) return null
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:@/?#[\]\s]+))(?::\d{1,5})?$/i.exec(authority)
  const host = match?.[1] ?? match?.[2]
  return host === undefined ? null : host.toLowerCase().replace(/\.$/, '')
}

/**
 * Returns the sentence that refuses a request from a web page of another origin; `null` for any
 * other request. Browsers set `Sec-Fetch-Site` on every request (Fetch Metadata §2) and `Origin` on
 * every POST; no page can change either header or leave it out.
 */
export function foreignPage(request: Request): string | null {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (site === 'cross-site' || site === 'same-site')
    return 'This server does not answer the web pages of other origins.'
  const scheme = 'encrypted' in request.socket ? 'https' : 'http'
  const [authority = ''] = namedHosts(request)
  if (origin === undefined || origin === `${scheme}://${authority.toLowerCase()}`) return null
  const page = JSON.stringify(origin.slice(0, 100))
  return `This server does not answer web pages, and ${page} is one.`
}

/**
 * Headers that keep web pages from embedding an answer, for all answers that are not meant for
 * pages.
 */
export const notForPages: Readonly<Record<string, string>> = {
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
}

/** Returns the values of all Host lines and of `:authority`; `headers` has only the first Host. */
function namedHosts({ rawHeaders }: Request): ReadonlySet<string> {
  const isHost = (name: string | undefined): boolean =>
    name === ':authority' || name?.toLowerCase() === 'host'
  const lines = rawHeaders.filter((_, i) => i % 2 === 1 && isHost(rawHeaders[i - 1]))
  // In HTTP/1 two Host lines are refused even if they are equal (RFC 9112 §3.2), so a second value
  // is added to the set.
  const asHttp1 = lines.length > 1 && !rawHeaders.includes(':authority')
  return new Set(asHttp1 ? [...lines, ''] : lines)
}

/**
 * Whether the target of a request is `/path`, or the `*` of OPTIONS. An absolute target is not
 * accepted: its host would count in place of the Host header (RFC 9112 §3.2.2).
 */
const isOriginForm = ({ url }: Request): boolean => /^(?:\/|\*$)/.test(url ?? '')
