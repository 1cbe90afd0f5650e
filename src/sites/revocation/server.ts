import type { IncomingMessage, ServerResponse } from 'node:http'
import { longestOcspRequest, ocspError } from '../../x509/ocsp.ts'
import { foreignPage, hostOf, isLoopbackHost, notForPages } from '../../server/host-check.ts'
import { defaultLimits, tooManyHeaders } from '../../server/limits.ts'
import { createPlainServer, type PlainServer, type PlainServerOptions } from '../../server/plain.ts'
import { isOutage, retryAfterOutage } from '../../storage/outage.ts'
import type { Storage } from '../../storage/storage.ts'
import { createRevocationSource } from './source.ts'

export interface RevocationHandlerOptions {
  readonly storage: Storage
  readonly now: () => Date
  /**
   * The names and addresses by which other machines ask, without ports, such as the host of the URL
   * in certificates. Default: none; names of this machine's loopback are always answered.
   */
  readonly hosts?: readonly string[] | undefined
  /** Called with the error when the answer is internalError or tryLater, or 500 or 503 for a CRL. */
  readonly onError?: ((error: unknown) => void) | undefined
}

type RevocationHandler = (request: IncomingMessage, response: ServerResponse) => void

interface Reply {
  readonly status: number
  readonly type: string
  readonly body: string | Buffer
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * Answers OCSP (RFC 6960 appendix A: POST, and GET with the request in the path) and `GET
 * /SCOPE.crl`. Plain HTTP is enough, since the answers are signed. The state is read anew when it
 * has changed. Only requests to loopback names and to `hosts` are answered: a web page that rebinds
 * its own name gets 421, and any other web page 403.
 */
export function createRevocationHandler(options: RevocationHandlerOptions): RevocationHandler {
  const source = createRevocationSource(options.storage, options.now)
  const hosts = new Set(options.hosts?.map(plainHost))
  const answer = async (request: Buffer): Promise<Reply> => {
    const body = await source.answer(request).catch((error: unknown) => {
      options.onError?.(error)
      return ocspError(isOutage(error) ? 'tryLater' : 'internalError')
    })
    return { status: 200, type: 'application/ocsp-response', body }
  }
  const crl = async (scopeName: string): Promise<Reply> => {
    try {
      const body = await source.crl(scopeName)
      if (body !== null) return { status: 200, type: 'application/pkix-crl', body }
      return refuse(404, `There is no scope named ${scopeName}.`)
    } catch (error) {
      options.onError?.(error)
      if (isOutage(error))
        return {
          ...refuse(503, 'The record cannot be read at the moment: try again.'),
          headers: { 'retry-after': retryAfterOutage },
        }
      return refuse(500, 'The list could not be made; the responder’s log says why.')
    }
  }
  const route = async (request: IncomingMessage): Promise<Reply> => {
    if (tooManyHeaders(request, defaultLimits)) return refuse(431, 'These are too many headers.')
    if (!isLoopbackHost(request) && !hosts.has(hostOf(request) ?? ''))
      return refuse(421, notHere(hosts))
    const foreign = foreignPage(request)
    if (foreign !== null) return refuse(403, foreign)
    const path = (request.url ?? '').replace(/\?.*$/s, '')
    switch (request.method) {
      case 'GET':
      case 'HEAD': {
        const scopeName = /^\/([a-z0-9-]{1,63})\.crl$/.exec(path)?.[1]
        if (scopeName !== undefined) return crl(scopeName)
        const encoded = path.replace(/^\/(?:ocsp(?=\/|$))?\/*/, '')
        if (encoded === '') return refuse(404, 'Ask by OCSP here, or fetch /SCOPE.crl.')
        return answer(decode(encoded))
      }
      case 'POST': {
        if (!/^\/(?:ocsp\/?)?$/.test(path)) return refuse(404, 'Ask by OCSP at /ocsp.')
        if (!isOcspRequest(request)) return refuse(415, 'Send application/ocsp-request.')
        const body = await readBody(request)
        return body === null ? refuse(413, 'The request is too large.') : answer(body)
      }
      default:
        return { ...refuse(405, 'GET or POST.'), headers: { allow: 'GET, HEAD, POST' } }
    }
  }
  return (request, response) => {
    route(request).then(
      (reply) => send(request, response, reply),
      // The client broke off in the middle of its request.
      () => response.destroy(),
    )
  }
}

/** Writes a host as `hostOf` does: that of a URL may have brackets or a dot at its end. */
const plainHost = (host: string): string =>
  host
    .toLowerCase()
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.$/, '')

const notHere = (hosts: ReadonlySet<string>): string =>
  hosts.size === 0
    ? 'This responder is for loopback names.'
    : `This responder is for ${[...hosts].join(', ')} and loopback names.`

function send(request: IncomingMessage, response: ServerResponse, reply: Reply): void {
  const { status, type, body, headers } = reply
  // Closes the connection when a refused body has not arrived in full, instead of waiting for it.
  const leftOver = !request.complete && request.method === 'POST'
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...notForPages,
    ...(leftOver ? { connection: 'close' } : {}),
    ...headers,
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

const refuse = (status: number, sentence: string): Reply => ({
  status,
  type: 'text/plain; charset=utf-8',
  body: `${sentence}\n`,
})

function isOcspRequest({ headers }: IncomingMessage): boolean {
  const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase()
  return type === 'application/ocsp-request'
}

/**
 * Decodes Base64 whose `/`, `+` and `=` may be percent-encoded. Returns an empty buffer for
 * anything else.
 */
function decode(encoded: string): Buffer {
  try {
    const base64 = decodeURIComponent(encoded)
    return /^[A-Za-z0-9+/]+={0,2}$/.test(base64) ? Buffer.from(base64, 'base64') : Buffer.alloc(0)
  } catch {
    return Buffer.alloc(0)
  }
}

/**
 * Reads the body; `null` when it is longer than an OCSP request may be. Rejects when the client
 * breaks off.
 */
function readBody(request: IncomingMessage): Promise<Buffer | null> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const declared = Number(request.headers['content-length'] ?? 0)
    // Not `for await`: leaving that loop early would destroy the socket before the answer.
    request.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= longestOcspRequest) chunks.push(chunk)
      else resolve(null)
    })
    request.once('end', () => resolve(size > longestOcspRequest ? null : Buffer.concat(chunks)))
    request.once('error', reject)
    request.once('close', () => reject(new Error('the client broke off')))
    if (declared > longestOcspRequest) resolve(null)
  })
}

export type RevocationServerOptions = RevocationHandlerOptions & Omit<PlainServerOptions, 'handle'>

/**
 * Starts a server with the handler of `createRevocationHandler`. Throws `port-in-use` or
 * `listen-failed`, and `usage` for `proxies`.
 */
export const createRevocationServer = (options: RevocationServerOptions): Promise<PlainServer> =>
  createPlainServer({ ...options, handle: createRevocationHandler(options) })
