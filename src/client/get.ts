import { X509Certificate } from 'node:crypto'
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { Agent, request as httpsRequest } from 'node:https'
import { createSecureContext, type TLSSocket } from 'node:tls'
import { RootlingError } from '../errors.ts'
import { explainFailure } from './explain.ts'
import { checkIdentity } from './identity.ts'
import { describePeer, type TlsFacts } from './peer.ts'
import { parseTarget, resolveLocally, type Target } from './target.ts'

export interface GetOptions {
  /**
   * PEM roots to trust, and no others; `anything`: the server's certificate says nothing, since the caller
   * checks what it gets.
   */
  readonly ca: readonly string[] | 'anything'
  /** PEM; sent if the server asks for a client certificate. */
  readonly clientCertificate?: { cert: string; key: string } | undefined
  /** The time for the whole exchange; default 10,000. */
  readonly timeoutMilliseconds?: number | undefined
  /**
   * The most bytes of the body that are returned; default 10 MiB. The rest is cut off and
   * `truncated` set.
   */
  readonly maxBodyBytes?: number | undefined
  /** JSON, which is sent by POST in place of the GET. */
  readonly post?: string | undefined
  readonly now?: (() => Date) | undefined
}

export interface GetResponse {
  readonly status: number
  readonly statusText: string
  /** Such as `1.1`. */
  readonly httpVersion: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
  readonly truncated: boolean
  readonly remoteAddress: string
  readonly tls: TlsFacts
}

/**
 * Makes one GET request, or a POST, that trusts exactly the given roots, whatever NODE_TLS_REJECT_UNAUTHORIZED,
 * NODE_EXTRA_CA_CERTS or a proxy variable say. Redirects are returned, not followed. Throws
 * `usage`, `bad-certificate` or `bad-key` for the arguments, `not-trusted` with the check that
 * failed, or `connect-failed`.
 */
export async function get(url: string, options: GetOptions): Promise<GetResponse> {
  const target = parseTarget(url)
  checkCredentials(options)
  try {
    return await exchange(target, options)
  } catch (error) {
    if (error instanceof RootlingError) throw error
    throw await explainFailure(error as NodeJS.ErrnoException, target, {
      sentCertificate: options.clientCertificate !== undefined,
      now: options.now?.() ?? new Date(),
    })
  }
}

function checkCredentials(options: GetOptions): void {
  try {
    // node:tls silently skips roots that are not certificates.
    if (options.ca !== 'anything') options.ca.forEach((pem) => new X509Certificate(pem))
  } catch (cause) {
    throw new RootlingError('bad-certificate', 'A root to trust is not a PEM certificate.', {
      hint: '--cacert takes a PEM file',
      cause,
    })
  }
  if (options.clientCertificate === undefined) return
  try {
    createSecureContext(options.clientCertificate)
  } catch (cause) {
    const sentence = 'The client certificate and its key cannot be read, or do not match.'
    throw new RootlingError('bad-key', sentence, { cause })
  }
}

async function exchange(target: Target, options: GetOptions): Promise<GetResponse> {
  const agent = new Agent({
    keepAlive: false,
    maxCachedSessions: 0,
    ALPNProtocols: ['http/1.1'],
  })
  const request = httpsRequest({
    ...options.clientCertificate,
    agent,
    host: target.host,
    port: target.port,
    path: `${target.url.pathname}${target.url.search}`,
    method: options.post === undefined ? 'GET' : 'POST',
    headers: {
      Host: target.url.host,
      Accept: '*/*',
      'User-Agent': 'rootling',
      ...(options.post === undefined ? {} : { 'Content-Type': 'application/json' }),
    },
    ...(options.ca === 'anything'
      ? { rejectUnauthorized: false }
      : { ca: [...options.ca], rejectUnauthorized: true }),
    checkServerIdentity: checkIdentity,
    servername: target.servername,
    minVersion: 'TLSv1.2',
    lookup: resolveLocally,
  })
  const milliseconds = options.timeoutMilliseconds ?? 10_000
  let timedOut = false
  const timer = setTimeout(() => {
    timedOut = true
    request.destroy(new Error('timeout'))
  }, milliseconds)
  try {
    let peer: Pick<GetResponse, 'tls' | 'remoteAddress'> | undefined
    // Once the server has hung up, the socket does not know these facts any more.
    request.once('socket', (socket) =>
      socket.once('secureConnect', () => {
        const tls = describePeer(socket as TLSSocket)
        peer = { tls, remoteAddress: socket.remoteAddress ?? '' }
      }),
    )
    request.end(options.post)
    const response = await answered(request)
    if (peer === undefined) throw new TypeError('an answer comes over a secured connection')
    const body = await readBody(response, options.maxBodyBytes ?? 10 * 1024 * 1024)
    return {
      status: response.statusCode ?? 0,
      statusText: response.statusMessage ?? '',
      httpVersion: response.httpVersion,
      headers: response.headers,
      ...body,
      ...peer,
    }
  } catch (error) {
    if (!timedOut) throw error
    const sentence = `${target.url.host} did not answer within ${milliseconds / 1000} s.`
    throw new RootlingError('connect-failed', sentence, { cause: error })
  } finally {
    clearTimeout(timer)
    request.destroy()
    agent.destroy()
  }
}

function answered(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve)
    request.on('error', (error) => {
      // Hanging up may mean that the server refuses the client only after the handshake.
      const secured = (request.socket as TLSSocket | null)?.authorized === true
      reject(Object.assign(error, { secured }))
    })
  })
}

async function readBody(
  response: IncomingMessage,
  limit: number,
): Promise<{ body: Buffer; truncated: boolean }> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size > limit) break
  }
  return { body: Buffer.concat(chunks).subarray(0, limit), truncated: size > limit }
}
