import type { IncomingMessage } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http2'
import type { RawFields } from './client.ts'
import { valueOf } from './fields.ts'

/** Why a request is not forwarded, for the person who sent it. */
export interface Refusal {
  readonly status: 400 | 405 | 417 | 421 | 501 | 505
  readonly sentence: string
}

const bad = (sentence: string): Refusal => ({ status: 400, sentence })

/**
 * Returns why an HTTP/1 request is refused; `null`: it is not. Node's parser has refused two lengths,
 * a length beside Transfer-Encoding, folded fields and other shapes that two readers could understand
 * differently (RFC 9112 §11.2). What it lets through is refused here: two Hosts, a target with a host
 * of its own, an encoding that does not end in `chunked`.
 */
export function refuseHttp1(request: IncomingMessage): Refusal | null {
  const { rawHeaders, headers, method = '', url = '', httpVersion } = request
  if (httpVersion !== '1.1' && httpVersion !== '1.0')
    return { status: 505, sentence: 'Over this connection, HTTP/1.1 and HTTP/1.0 are spoken.' }
  let hosts = 0
  let encodings = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] as string
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
    else if (name.length === 17 && name.toLowerCase() === 'transfer-encoding') encodings++
  }
  if (hosts !== 1) return bad(`The request has ${hosts} Host fields, where one is needed.`)
  if (encodings > 1) return bad('The request has several Transfer-Encoding fields.')
  const encoding = headers['transfer-encoding']
  // Node's parser has decoded `chunked` alone; another coding before it would stay in the body.
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked')
    return { status: 501, sentence: 'Of all transfer codings, only chunked is supported.' }
  if (encoding !== undefined && request.httpVersionMinor === 0)
    return bad('HTTP/1.0 has no Transfer-Encoding.')
  const { expect } = headers
  if (expect !== undefined && expect.toLowerCase() !== '100-continue')
    return { status: 417, sentence: 'Of all expectations, only 100-continue is supported.' }
  return refuseTarget(method, url)
}

/**
 * Returns why an HTTP/2 request is refused; `null`: it is not. nghttp2 itself resets streams with the
 * fields of an HTTP/1 connection, with pseudo-header fields that are doubled, unknown or missing, and
 * whose body is not as long as its content-length.
 */
export function refuseHttp2(headers: IncomingHttpHeaders, raw: RawFields): Refusal | null {
  const authority = headers[':authority']
  const host = valueOf(raw, 'host')
  if (authority === undefined && host === null) return bad('The request names no host.')
  if (raw.filter((text, i) => i % 2 === 0 && text.toLowerCase() === 'host').length > 1)
    return bad('The request has several Host fields.')
  if (authority !== undefined && host !== null && host !== authority)
    return { status: 421, sentence: 'The Host of the request is not its :authority.' }
  if (headers[':scheme'] !== 'https')
    return bad('The :scheme of the request is not https, as its connection is.')
  if (headers['transfer-encoding'] !== undefined || headers.connection !== undefined)
    return bad('HTTP/2 has neither Transfer-Encoding nor Connection.')
  const method = headers[':method'] ?? ''
  // Node sends on each method in capitals, and methods differ by their case (RFC 9110 §9.1).
  if (!/^[A-Z][A-Z-]*$/.test(method)) return bad('The method of the request is no known one.')
  return refuseTarget(method, headers[':path'] ?? '')
}

/** Returns why a request to change the protocol of an HTTP/1 connection, or CONNECT, is refused. */
export function refuseUpgrade({ method, headers }: IncomingMessage): Refusal | null {
  if (method === 'CONNECT') return noTunnel
  // Node's parser leaves its body to what follows the head.
  if (headers['transfer-encoding'] === undefined && /^0*$/.test(headers['content-length'] ?? ''))
    return null
  return bad('A request to change the protocol of its connection has no body.')
}

/** Returns why a CONNECT over HTTP/2 is refused; `null`: it asks for a WebSocket (RFC 8441). */
export function refuseConnect(headers: IncomingHttpHeaders): Refusal | null {
  const protocol = headers[':protocol']
  if (protocol === undefined) return noTunnel
  // An app could take what comes next on its connection for the body that they announce.
  if (headers['content-length'] !== undefined || headers.expect !== undefined)
    return bad('A request for a WebSocket has no body.')
  if (protocol === 'websocket') return null
  return { status: 501, sentence: 'Of all protocols for CONNECT, only websocket is supported.' }
}

const noTunnel: Refusal = {
  status: 405,
  sentence: 'This proxy forwards requests to local apps, and opens no tunnels by CONNECT.',
}

/** Whether a target is `/path` without what could end its line, or the `*` of OPTIONS. */
function refuseTarget(method: string, target: string): Refusal | null {
  if (/^\/[\x21\x22\x24-\x7e\x80-\xff]*$/.test(target)) return null
  if (target === '*' && method === 'OPTIONS') return null
  return bad('The target of the request is not a path, as it must begin with a slash.')
}

/**
 * Returns the host of a Host field or `:authority`, in lower case, without port and brackets; `null`:
 * it is neither a name nor an address. Nothing else may reach an app by X-Forwarded-Host.
 */
export function hostOfAuthority(authority: string): string | null {
  const match = /^(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d{1,5})?$/i.exec(authority)
  const host = match?.[1] ?? match?.[2]
  return host === undefined ? null : host.toLowerCase().replace(/\.$/, '')
}
