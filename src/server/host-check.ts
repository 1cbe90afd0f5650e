import { isIP } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Request } from './https.ts'

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

/** The host that was asked for, in lower case, without port and brackets; `null` when it is none. */
export function hostOf(request: Request): string | null {
  const authority = request.headers[':authority'] ?? request.headers.host
  if (typeof authority !== 'string') return null
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:@/?#[\]\s]+))(?::\d{1,5})?$/i.exec(authority)
  const host = match?.[1] ?? match?.[2]
  return host === undefined ? null : host.toLowerCase().replace(/\.$/, '')
}
