import { ServerResponse, type IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { RequestTaker } from '../server/exchange.ts'
import { lingerUntilRead } from '../server/linger.ts'
import { Http1Client } from './client-http1.ts'
import { Http2Client } from './client-http2.ts'
import type { ProxyClient, RawFields } from './client.ts'
import { loop, mostHops, noAnswer, noApp } from './failures.ts'
import { hopsField, requestFields, valueOf } from './fields.ts'
import { forwardToHttp1 } from './forward-http1.ts'
import { forwardToHttp2 } from './forward-http2.ts'
import { nameApp, type Forwarding } from './forward.ts'
import { faultCode } from './http1-connection.ts'
import { beginLog, type ProxyEntry } from './log.ts'
import { answerPage, type Page } from './pages.ts'
import { createPipelines } from './pipeline.ts'
import {
  hostOfAuthority,
  refuseConnect,
  refuseHttp1,
  refuseHttp2,
  refuseUpgrade,
  type Refusal,
} from './refuse.ts'
import type { Upstream, Upstreams } from './upstream.ts'
import { forwardExtendedConnect, forwardUpgrade } from './websocket.ts'

export interface RequestsOptions {
  /**
   * Returns where a request goes; null: nowhere, which is answered by 404 with the list of apps.
   * `host` is lower case, without port; `path` is without the query.
   */
  readonly find: (host: string, path: string) => Upstream | null
  /** The hosts of all routes, for the page 404. */
  readonly hosts: () => readonly string[]
  readonly now: () => Date
  /** Called once for each request: after its answer, or when its WebSocket has opened. */
  readonly onRequest?: (entry: ProxyEntry) => void
  /** Called with the faults of this program; the client gets 500. */
  readonly onError?: (error: unknown) => void
}

/** A request on its way, with what to call when it has become a tunnel, which stays open. */
interface Way extends Forwarding {
  readonly onOpen: () => void
}

/** Answers every request: by the app that has its host, or by a page of the proxy's own. */
export function createRequests(options: RequestsOptions, upstreams: Upstreams): RequestTaker {
  const { find, hosts, now, onRequest, onError } = options

  /** Returns how a request is forwarded; `null`: it was answered. */
  function route(client: ProxyClient, refusal: Refusal | null): Way | null {
    const host = hostOfAuthority(client.authority)
    const log = beginLog(client, host ?? '', now, onRequest)
    const answer = (page: Page): null => {
      answerPage(client, page)
      return null
    }
    if (refusal !== null) return answer(refused(refusal))
    if (host === null) return answer(refused(noHost))
    const upstream = find(host, client.path.replace(/\?.*$/, ''))
    if (upstream === null) {
      const port = /:\d+$/.exec(client.authority)?.[0] ?? ''
      return answer(noApp(host, hosts(), port))
    }
    log.app = upstream.app
    const hops = hopsOf(client.raw)
    if (hops >= mostHops) return answer(loop(upstream))
    const isRenamed = upstream.changeOrigin === true
    const upstreamHost = isRenamed ? upstream.origin.host : client.authority
    const fields = requestFields(client, upstreamHost, hops + 1)
    if (isRenamed) nameApp(fields, upstream, client.authority)
    return {
      client,
      upstream,
      upstreams,
      host: upstreamHost,
      fields,
      onNoAnswer(error) {
        const isFault = error.code === faultCode
        if (isFault) onError?.(error.cause)
        if (client.status === null)
          answerPage(client, isFault ? internalError : noAnswer(upstream, error))
        else client.fail()
      },
      onHint: (hint) => (log.hint = hint),
      onOpen: () => log.write(101),
    }
  }

  /** Answers 500 for a fault of this program, so that it harms one request alone. */
  function guard(client: ProxyClient, work: () => void): void {
    try {
      work()
    } catch (error) {
      const isInvalid = invalidCodes.has((error as NodeJS.ErrnoException).code ?? '')
      if (!isInvalid) onError?.(error)
      if (client.status === null) answerPage(client, isInvalid ? refused(noField) : internalError)
      else client.fail()
    }
  }

  const pipelines = createPipelines()
  return {
    http1(request, response) {
      const { socket } = request
      pipelines.take(socket, response, () => {
        const client = new Http1Client(request, response, socket.remoteAddress ?? '')
        guard(client, () => forward(route(client, refuseHttp1(request))))
      })
    },
    upgrade(request, socket, head) {
      // Its answer would come among those to the earlier requests; no browser asks like that.
      if (pipelines.isBusy(socket)) return void socket.destroy()
      const client = new Http1Client(
        request,
        responseOn(request, socket),
        socket.remoteAddress ?? '',
      )
      guard(client, () => {
        const way = route(client, refuseUpgrade(request) ?? refuseHttp1(request))
        if (way === null || !isTunnel(request)) forward(way)
        else if (way.upstream.origin.protocol === 'h2c:') answerPage(client, refused(noWebSocket))
        else forwardUpgrade(way, { client, socket, head }, way.onOpen)
      })
    },
    http2(stream, headers, rawHeaders, { remoteAddress = '' }) {
      const client = new Http2Client(stream, headers, rawHeaders, remoteAddress)
      guard(client, () => {
        if (client.method !== 'CONNECT')
          return forward(route(client, refuseHttp2(headers, rawHeaders)))
        const refusal = refuseConnect(headers) ?? refuseHttp2(headers, rawHeaders)
        const way = route(client, refusal)
        if (way === null) return
        if (way.upstream.origin.protocol === 'h2c:') answerPage(client, refused(noWebSocket))
        else forwardExtendedConnect(way, client, way.onOpen)
      })
    },
  }
}

function forward(way: Way | null): void {
  if (way?.upstream.origin.protocol === 'h2c:') forwardToHttp2(way)
  else if (way !== null) forwardToHttp1(way)
}

const noHost: Refusal = {
  status: 400,
  sentence: 'The Host of the request is neither a name nor an address.',
}

/** What Node throws for fields that it does not send on, which HTTP/2 lets in. */
const invalidCodes: ReadonlySet<string> = new Set([
  'ERR_INVALID_CHAR',
  'ERR_INVALID_HTTP_TOKEN',
  'ERR_HTTP2_INVALID_PSEUDOHEADER',
  'ERR_HTTP2_INVALID_CONNECTION_HEADERS',
])

const noField: Refusal = {
  status: 400,
  sentence: 'A field of the request has a name or a value that HTTP/1.1 does not allow.',
}

const noWebSocket: Refusal = {
  status: 501,
  sentence: 'The app speaks HTTP/2 without TLS, over which no WebSocket is forwarded.',
}

const internalError: Page = {
  status: 500,
  error: 'proxy_internal_error',
  sentence: 'The proxy itself failed; its log says more.',
}

const refused = ({ status, sentence }: Refusal): Page => ({
  status,
  error: 'http_request_error',
  sentence,
  fields: [
    ...(status === 405 ? ['Allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS'] : []),
    // Where such a request ends, two readers may see differently.
    ...(status === 400 || status === 505 ? ['Connection', 'close'] : []),
  ],
})

function hopsOf(raw: RawFields): number {
  const value = valueOf(raw, hopsField) ?? ''
  return /^\d{1,3}$/.test(value) ? Number(value) : 0
}

/**
 * Whether an upgrade is one to forward: to one protocol, and not to HTTP/2, which over TLS is chosen by
 * ALPN. Without it, an app could choose that from several.
 */
const isTunnel = ({ headers: { upgrade = '' } }: IncomingMessage): boolean =>
  /^[\w.+-]+(?:\/[\w.+-]+)?$/.test(upgrade) && !/^(?:h2c|http\/|tls\/)/i.test(`${upgrade}/`)

/** The answer to a request whose connection node:http has given away. */
function responseOn(request: IncomingMessage, socket: TLSSocket): ServerResponse {
  const response = new ServerResponse(request)
  response.shouldKeepAlive = false
  response.assignSocket(socket)
  socket.on('error', () => {})
  const drain = (): void => void response.emit('drain')
  socket.on('drain', drain)
  response.once('finish', () => {
    socket.off('drain', drain)
    response.detachSocket(socket)
    socket.end()
    lingerUntilRead(socket)
  })
  return response
}
