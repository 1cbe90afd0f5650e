import { createServer as createHttp1, type IncomingMessage } from 'node:http'
import { createServer as createHttp2, type Http2Session } from 'node:http2'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  createSecureContext,
  createServer as createTls,
  type TlsOptions,
  type TLSSocket,
} from 'node:tls'
import { RootlingError } from '../errors.ts'
import { limitConnections } from './connections.ts'
import type { Contexts } from './contexts.ts'
import type { Handler, Request, Response } from './http.ts'
import { guardHttp2Session } from './http2-guard.ts'
import type { KeyPair } from './key-pair.ts'
import { DEFAULT_LIMITS, tooManyHeaders, type ServerLimits } from './limits.ts'
import { hostPort, listen } from './listen.ts'
import type { ClientAuthorities, ClientGate, ClientRefusal } from './mutual-tls.ts'
import { logRequest, type LogEntry } from './request-log.ts'

export interface HttpsServerOptions {
  pair: Pick<KeyPair, 'cert' | 'key'>
  handler: Handler
  host?: string | undefined
  /** 0 takes a free one. */
  port?: number | undefined
  minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
  limits?: Partial<ServerLimits> | undefined
  now?: (() => Date) | undefined
  /** Called once for each request when it was answered or broke. */
  onRequest?: ((entry: LogEntry) => void) | undefined
  /** A handshake or a request that could not be read; the connection is closed already. */
  onConnectionError?: ((error: Error, remoteAddress: string) => void) | undefined
  /** A handler that threw; the client got 500. */
  onHandlerError?: ((error: unknown) => void) | undefined
  /** HTTP/1.1 `Upgrade`, as WebSockets need it; without it the request is answered as any other. */
  onUpgrade?: ((request: IncomingMessage, socket: Duplex, head: Buffer) => void) | undefined
  /** Asks clients for certificates, and answers only those that it lets in. */
  clients?: ClientGate | undefined
  /** Certificates by name; names that it has none for, and clients that name none, get `pair`. */
  contexts?: Contexts | undefined
}

export interface HttpsServer {
  readonly host: string
  readonly port: number
  /** `https://127.0.0.1:8443/`. */
  readonly url: string
  /** New connections get this certificate; open ones keep theirs. */
  replaceCertificate(pair: Pick<KeyPair, 'cert' | 'key'>): void
  /** Whose certificates let clients in from now on, where `clients` asks for them. */
  replaceClientAuthorities(authorities: ClientAuthorities): void
  /** Accepts no more, lets requests in flight finish (GOAWAY on HTTP/2), then destroys what is left. */
  close(options?: { drainMilliseconds?: number }): Promise<void>
}

// Forward secrecy and AEAD only; RFC 9113 §9.2.2 bans the rest for HTTP/2.
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/** The groups offered for the key exchange. */
export const GROUPS = ['X25519', 'P-256'] as const

/**
 * An HTTPS server that listens when the promise resolves: TLS 1.3, HTTP/2 and HTTP/1.1 by ALPN, every wait bounded.
 * One TLS server is in front and hands each connection to the HTTP/1 or the HTTP/2 server, which never listen
 * themselves. Throws `port-in-use` or `listen-failed`.
 */
export async function createHttpsServer(options: HttpsServerOptions): Promise<HttpsServer> {
  const limits: ServerLimits = { ...DEFAULT_LIMITS, ...options.limits }
  const host = options.host ?? '127.0.0.1'
  const now = options.now ?? (() => new Date())
  const sockets = new Set<Socket>()
  const http1Sockets = new Set<Socket>()
  const sessions = new Set<Http2Session>()
  const answering = new Map<Response, TLSSocket>()
  let closing: Promise<void> | null = null

  const handle = (request: Request, response: Response): void => {
    const socket = request.socket as TLSSocket
    answering.set(response, socket)
    connections.answering(request, response)
    response.once('close', () => {
      answering.delete(response)
      if (closing !== null && request.httpVersionMajor === 1) socket.destroySoon()
    })
    if (options.onRequest !== undefined) logRequest(request, response, now, options.onRequest)
    if (closing !== null) announceClose(response)
    // A client may send before it has read our SETTINGS, and node:http2 holds it to them only from then on.
    if (headerSize(request) > limits.headerBytes || tooManyHeaders(request, limits)) {
      response.statusCode = 431
      response.end()
      return
    }
    void answer(options, request, response, refuseClient)
  }

  const refuseClient = ({ sentence }: ClientRefusal, address: string): void => {
    options.onConnectionError?.(new RootlingError('not-trusted', sentence), address)
  }

  const http1 = createHttp1(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMilliseconds,
      requestTimeout: limits.requestMilliseconds,
      keepAliveTimeout: limits.idleMilliseconds,
      connectionsCheckingInterval: Math.min(1_000, limits.headersMilliseconds / 4),
    },
    handle,
  )
  // node:http would leave out those beyond, such as a second Host; `handle` refuses them.
  http1.maxHeadersCount = 0
  http1.setTimeout(limits.idleMilliseconds, (socket: Socket) => {
    const waitsForHandler = [...answering.values()].includes(socket as TLSSocket)
    if (!waitsForHandler || socket.writableLength > 0) socket.destroy()
  })
  http1.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const address = (socket as Socket).remoteAddress ?? ''
    refuse(error, socket as Socket)
    if (!isHangUp(error)) options.onConnectionError?.(error, address)
  })
  if (options.onUpgrade !== undefined) {
    http1.on('upgrade', (request, socket, head) => {
      http1Sockets.delete(socket as Socket)
      options.onUpgrade?.(request, socket, head)
    })
  }
  // node:http starts its timer for slow heads on this event, and this server gets its connections from another one.
  http1.emit('listening')

  const http2 = createHttp2(
    {
      settings: { maxConcurrentStreams: limits.streams, maxHeaderListSize: limits.headerBytes },
      maxHeaderListPairs: limits.headers,
      unknownProtocolTimeout: limits.headersMilliseconds,
    },
    handle,
  )
  http2.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    guardHttp2Session(session, limits)
  })
  http2.on('sessionError', (error, session) => {
    options.onConnectionError?.(error, session.socket?.remoteAddress ?? '')
  })

  const secureOptions = (pair: Pick<KeyPair, 'cert' | 'key'>): TlsOptions => ({
    ...options.clients?.tls,
    cert: pair.cert,
    key: pair.key,
    minVersion: options.minVersion ?? 'TLSv1.3',
    ciphers: CIPHERS,
    ecdhCurve: GROUPS.join(':'),
    honorCipherOrder: true,
  })
  let { pair } = options
  const front = createTls({
    ...secureOptions(pair),
    SNICallback: options.contexts?.select((named) => createSecureContext(secureOptions(named))),
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: limits.handshakeMilliseconds,
    noDelay: true,
  })
  const connections = limitConnections(front, limits.connections)
  front.on('connection', (socket) => track(sockets, socket))
  options.clients?.attach(front)
  const handOver = (socket: TLSSocket): void => {
    if (socket.alpnProtocol === 'h2') {
      http2.emit('connection', socket)
    } else {
      track(http1Sockets, socket)
      http1.emit('connection', socket)
    }
  }
  front.on('secureConnection', (socket) => {
    track(sockets, socket)
    if (options.clients === undefined) handOver(socket)
    else void admit(options.clients, socket, handOver, refuseClient)
  })
  front.on('tlsClientError', (error, socket) => {
    const address = socket.remoteAddress ?? ''
    // node:tls leaves the socket open, even after its handshake timeout.
    socket.destroy()
    if (!isHangUp(error)) options.onConnectionError?.(error, address)
  })
  let address
  try {
    address = await listen(front, host, options.port ?? 8443)
  } catch (error) {
    http1.close()
    throw error
  }

  function renewContexts(): void {
    front.setSecureContext(secureOptions(pair))
    options.contexts?.forget()
  }

  async function drain(milliseconds: number): Promise<void> {
    const closed = new Promise<void>((resolve) => front.close(() => resolve()))
    http1.close()
    const busy = new Set<Socket>(answering.values())
    for (const socket of http1Sockets) if (!busy.has(socket)) socket.destroy()
    for (const session of sessions) session.close()
    for (const response of answering.keys()) announceClose(response)
    const kill = setTimeout(() => {
      for (const socket of sockets) socket.destroy()
    }, milliseconds)
    await closed
    clearTimeout(kill)
  }

  return {
    host: address.address,
    port: address.port,
    url: `https://${hostPort(address.address, address.port)}/`,
    replaceCertificate(next) {
      pair = next
      renewContexts()
    },
    replaceClientAuthorities(authorities) {
      options.clients?.trust(authorities)
      renewContexts()
    },
    close: ({ drainMilliseconds = 5_000 } = {}) => (closing ??= drain(drainMilliseconds)),
  }
}

/** Nothing is read from a client before the gate has let it in. */
async function admit(
  clients: ClientGate,
  socket: TLSSocket,
  handOver: (socket: TLSSocket) => void,
  onRefused: (refusal: ClientRefusal, address: string) => void,
): Promise<void> {
  const address = socket.remoteAddress ?? ''
  // Between node:tls and node:http nobody listens, and the error of a client that goes away would end the process.
  const ignore = (): void => {}
  socket.on('error', ignore)
  const refusal = await clients.admit(socket)
  if (refusal !== null) {
    onRefused(refusal, address)
    return
  }
  if (socket.destroyed) return
  handOver(socket)
  socket.off('error', ignore)
}

async function answer(
  options: HttpsServerOptions,
  request: Request,
  response: Response,
  onRefused: (refusal: ClientRefusal, address: string) => void,
): Promise<void> {
  try {
    const socket = request.socket as TLSSocket
    const refusal = (await options.clients?.recheck(socket)) ?? null
    if (refusal !== null) {
      onRefused(refusal, socket.remoteAddress ?? '')
      // The socket of an HTTP/2 request stands for its stream alone.
      if ('stream' in request) request.stream.session?.destroy()
      else socket.destroy()
      return
    }
    await options.handler(request, response)
  } catch (error) {
    options.onHandlerError?.(error)
    if (response.headersSent) {
      response.destroy()
      return
    }
    response.statusCode = 500
    response.setHeader('Content-Type', 'text/plain; charset=utf-8')
    response.end('Internal server error.\n')
  }
}

/** As RFC 9113 §6.5.2 counts for HTTP/2; node:http has counted HTTP/1 itself. */
function headerSize(request: Request): number {
  if (request.httpVersionMajor === 1) return 0
  return request.rawHeaders.reduce((sum, text) => sum + text.length + 16, 0)
}

function announceClose(response: Response): void {
  // HTTP/2 says it with GOAWAY, and forbids the header (RFC 9113 §8.2.2).
  if (response.req.httpVersionMajor === 1 && !response.headersSent) {
    response.setHeader('Connection', 'close')
  }
}

/** Answers a request that could not be read, and closes. */
function refuse(error: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || isHangUp(error)) {
    socket.destroy()
    return
  }
  const status =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? '431 Request Header Fields Too Large'
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? '408 Request Timeout'
        : '400 Bad Request'
  socket.write(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  socket.destroySoon()
}

/** Clients that go away say nothing about the server. */
function isHangUp(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ECONNRESET' || error.code === 'EPIPE'
}

function track(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket)
  socket.once('close', () => sockets.delete(socket))
}
