import { constants, createServer, type Http2Session, type ServerHttp2Stream } from 'node:http2'
import type { IncomingHttpHeaders, ServerOptions } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import type { RequestTaker } from './exchange.ts'
import type { ServerLimits } from './limits.ts'
import { isHangUp, type ProtocolOptions, type ProtocolServer } from './protocol.ts'

type StreamArguments = [
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: readonly string[],
]

export interface Http2Options extends ProtocolOptions {
  /** Takes all requests, in place of `handle`; its clients may open WebSockets (RFC 8441). */
  readonly taker?: Pick<RequestTaker, 'http2'> | undefined
}

/**
 * Creates a server that speaks HTTP/2 on the connections given to `accept`; it never listens
 * itself.
 */
export function createHttp2Server(options: Http2Options): ProtocolServer {
  const { limits, handle, onConnectionError, taker } = options
  const sessions = new Set<Http2Session>()
  let accepting: TLSSocket | null = null
  const settings: ServerOptions & { streamResetBurst: number; streamResetRate: number } = {
    settings: {
      maxConcurrentStreams: limits.streams,
      maxHeaderListSize: limits.headerBytes,
      enableConnectProtocol: taker !== undefined,
    },
    maxHeaderListPairs: limits.headers,
    unknownProtocolTimeout: limits.headersMilliseconds,
    streamResetBurst: limits.streamResetBurst,
    streamResetRate: limits.streamResetRate,
  }
  const server = createServer(settings, taker === undefined ? handle : undefined)
  server.on('session', (session) => {
    const socket = accepting as TLSSocket
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    guardSession(session, limits)
    if (taker !== undefined)
      session.on('stream', (...[stream, headers, , rawHeaders]: StreamArguments) =>
        taker.http2(stream, headers, rawHeaders, socket),
      )
  })
  server.on('sessionError', (error, session) => {
    if (!isHangUp(error)) onConnectionError?.(error, session.socket?.remoteAddress ?? '')
  })
  return {
    accept(socket) {
      // Its session, which node:http2 makes at once, shows only a proxy of the socket.
      accepting = socket as TLSSocket
      server.emit('connection', socket)
      accepting = null
    },
    close() {
      for (const session of sessions) session.close()
    },
  }
}

/** How many PING frames a client may send in this time; gRPC sends one in ten seconds. */
const [mostPings, pingMilliseconds] = [1_000, 10_000]

/**
 * Holds a session to the limits that `node:http` enforces for HTTP/1 and `node:http2` does not: a
 * preface in time, a request body in time, no session without streams for long (whatever bytes
 * trickle in), no client that stops reading.
 */
function guardSession(session: Http2Session, limits: ServerLimits): void {
  let open = 0
  const end = (): void => {
    session.close()
    session.destroy()
  }
  let timer = setTimeout(end, limits.headersMilliseconds)
  timer.unref()
  const idle = (): void => {
    clearTimeout(timer)
    if (session.destroyed || open > 0) return
    timer = setTimeout(end, limits.idleMilliseconds)
    timer.unref()
  }
  session.once('remoteSettings', idle)
  // Each PING is answered, and a client has no use for many (CVE-2019-9512).
  let [pings, since] = [0, Date.now()]
  session.on('ping', () => {
    if (Date.now() - since > pingMilliseconds) [pings, since] = [0, Date.now()]
    pings += 1
    if (pings > mostPings) session.destroy(undefined, constants.NGHTTP2_ENHANCE_YOUR_CALM)
  })
  session.on('stream', (stream: ServerHttp2Stream) => {
    open += 1
    clearTimeout(timer)
    guardStream(stream, limits)
    stream.once('close', () => {
      open -= 1
      idle()
    })
  })
  session.once('close', () => clearTimeout(timer))
}

function guardStream(stream: ServerHttp2Stream, limits: ServerLimits): void {
  if (!stream.endAfterHeaders && limits.requestMilliseconds > 0) {
    const cut = (): void => stream.close(constants.NGHTTP2_CANCEL)
    const timer = setTimeout(cut, limits.requestMilliseconds)
    timer.unref()
    stream.once('end', () => clearTimeout(timer))
    stream.once('close', () => clearTimeout(timer))
  }
  if (limits.leastBytesPerSecond === 0) return
  stream.setTimeout(2 * limits.idleMilliseconds)
  // A handler may take long; a client that does not read what was written to it may not.
  stream.on('timeout', () => {
    if (stream.writableLength > 0) stream.close(constants.NGHTTP2_CANCEL)
  })
}
