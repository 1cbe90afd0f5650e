import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Request } from './http.ts'

/**
 * Whether the host that a request names is one of ours: a name or address of the certificate, `localhost`, or the
 * address that the connection came in on. A web page that rebinds its own name to loopback is not, and gets 421.
 */
export function isOurHost(request: Request): boolean {
  const host = hostOf(request)
  if (host === null) return false
  if (host === 'localhost') return true
  const socket = request.socket as TLSSocket
  if (isIP(host) > 0 && host === socket.localAddress?.replace(/^::ffff:/, '')) return true
  const certificate = socket.getX509Certificate()
  if (certificate === undefined) return false
  const covers =
    isIP(host) > 0
      ? certificate.checkIP(host)
      : certificate.checkHost(host, { subject: 'never', partialWildcards: false })
  return covers !== undefined
}

/** Over plain HTTP: `localhost` and all below it, 127/8, ::1, or the address that the connection came in on. */
export function isLoopbackHost(request: IncomingMessage): boolean {
  // Without a Host it is an old client and no browser: HTTP/1.1 would have been refused.
  if (request.headers.host === undefined)
    return request.httpVersion === '1.0' && isOriginForm(request)
  const host = hostOf(request)
  if (host === null) return false
  if (isIP(host) === 0) return host === 'localhost' || host.endsWith('.localhost')
  const own = request.socket.localAddress?.replace(/^::ffff:/, '')
  return host === '::1' || host.startsWith('127.') || host === own
}

/**
 * The host that was asked for, in lower case, without port and brackets; `null` when it is none, or when the request
 * names several: a second Host, one beside another `:authority`, a target with a host of its own.
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
 * Why a request comes from a web page that is not ours, as a sentence; `null`: from none. Browsers set both headers
 * themselves, and no page can change or leave out `Sec-Fetch-Site` (Fetch Metadata §2), or `Origin` where it posts.
 */
export function foreignPage(request: Request): string | null {
  const { origin, 'sec-fetch-site': site } = request.headers
  if (site === 'cross-site' || site === 'same-site')
    return 'This server does not answer the web pages of other origins.'
  const scheme = 'encrypted' in request.socket ? 'https' : 'http'
  const [authority = ''] = namedHosts(request)
  if (origin === undefined || origin === `${scheme}://${authority.toLowerCase()}`) return null
  return `This server does not answer web pages, and ${JSON.stringify(origin.slice(0, 100))} is one.`
}

/** What keeps an answer from the page that embeds it: set on whatever is not meant for pages. */
export const notForPages: Readonly<Record<string, string>> = {
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
}

/** Every Host line and `:authority`: `headers` shows the first Host alone. */
function namedHosts({ rawHeaders }: Request): ReadonlySet<string> {
  const isHost = (name: string | undefined): boolean =>
    name === ':authority' || name?.toLowerCase() === 'host'
  const lines = rawHeaders.filter((_, i) => i % 2 === 1 && isHost(rawHeaders[i - 1]))
  // Equal ones are two lines all the same in HTTP/1 (RFC 9112 §3.2).
  const asHttp1 = lines.length > 1 && !rawHeaders.includes(':authority')
  return new Set(asHttp1 ? [...lines, ''] : lines)
}

/** `/path`, or `*` of OPTIONS: not the absolute form, whose host would count in place of the Host (RFC 9112 §3.2.2). */
const isOriginForm = ({ url }: Request): boolean => /^(?:\/|\*$)/.test(url ?? '')
