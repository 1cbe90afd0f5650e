import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { createSecureContext, createServer, type TlsOptions, type TLSSocket } from 'node:tls'
import { RootlingError } from '../errors.ts'
import { answer, tooLarge, type AnswerOptions } from './answer.ts'
import { limitConnections } from './connections.ts'
import type { Contexts } from './contexts.ts'
import {
  exchangeOf,
  exchangeOfStream,
  exchangeOfUpgrade,
  type Exchange,
  type RequestTaker,
  type UpgradeListener,
} from './exchange.ts'
import type { Handler, Request, Response } from './http.ts'
import { sortByFirstOctet } from './first-octet.ts'
import { createHttp1Server } from './http1.ts'
import { createHttp2Server } from './http2.ts'
import { trackRequests } from './in-flight.ts'
import type { KeyPair } from './key-pair.ts'
import { defaultLimits, type ServerLimits } from './limits.ts'
import { hostPort, listen } from './listen.ts'
import type { ClientAuthorities, ClientGate, ClientRefusal } from './mutual-tls.ts'
import { connectionOf, showPeer, type Peer } from './peer.ts'
import { isAlert, isHangUp } from './protocol.ts'
import { balancersIn, readProxyHeader } from './proxy-protocol.ts'
import { logRequest, type LogEntry } from './request-log.ts'
import { unmapped } from '../x509/ip.ts'
import { tlsSettings } from './tls-settings.ts'
import { redirectToHttps } from './to-https.ts'

export interface HttpsServerOptions {
  readonly pair: Pick<KeyPair, 'cert' | 'key'>
  readonly handler: Handler
  /**
   * Takes all requests, in place of `handler`, `onRequest` and `onUpgrade`. Each exchange counts as
   * busy until its answer, or the connection that it took over, is closed.
   */
  readonly taker?: RequestTaker | undefined
  /** Default 127.0.0.1. */
  readonly host?: string | undefined
  /** Default 8443; 0 takes a free port. */
  readonly port?: number | undefined
  /**
   * The descriptor of a socket that a service manager bound; the server listens there, and not at
   * `host` and `port`.
   */
  readonly descriptor?: number | undefined
  /** The name of the command's option that says which port, for hints; default `port`. */
  readonly portOption?: string | undefined
  /** Default TLSv1.3. */
  readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
  readonly limits?: Partial<ServerLimits> | undefined
  readonly now?: (() => Date) | undefined
  /** Called once for each request, when it was answered or its connection broke. */
  readonly onRequest?: ((entry: LogEntry, request: Request) => void) | undefined
  /**
   * Called when a handshake failed or a request could not be read; the connection is closed. The
   * address is empty where the client closed it before it could be asked for.
   */
  readonly onConnectionError?: ((error: Error, remoteAddress: string) => void) | undefined
  /** Called with the error when the handler throws; the client gets 500. */
  readonly onHandlerError?: ((error: unknown) => void) | undefined
  /**
   * Takes over the connection of an HTTP/1.1 `Upgrade` request, as WebSockets need it; without this
   * function such a request is answered like any other.
   */
  readonly onUpgrade?: UpgradeListener | undefined
  /** Asks clients for certificates; only clients that this gate lets in are answered. */
  readonly clients?: ClientGate | undefined
  /**
   * Certificates by host name; a client that asks for another name, or for none, is shown `pair`.
   */
  readonly contexts?: Contexts | undefined
  /**
   * Addresses and ranges, such as `10.0.0.0/24`, of balancers that forward TCP connections. What comes
   * from them must begin with a header of the PROXY protocol, version 1 or 2, and the client that it
   * names counts as the other end of the connection. From any other address no header is read.
   * Throws `usage` for text that is no address or range.
   */
  readonly proxies?: readonly string[] | undefined
}

export interface HttpsServer {
  readonly host: string
  readonly port: number
  /** Such as `https://127.0.0.1:8443/`. */
  readonly url: string
  /** Shows this certificate on new connections; open ones keep the earlier certificate. */
  replaceCertificate(pair: Pick<KeyPair, 'cert' | 'key'>): void
  /** Replaces the CAs whose certificates let clients in; does nothing without `clients`. */
  replaceClientAuthorities(authorities: ClientAuthorities): void
  /**
   * Stops accepting connections and lets requests in flight finish (GOAWAY on HTTP/2). Destroys the
   * connections that are left after `drainMilliseconds`, by default 5,000.
   */
  close(options?: { readonly drainMilliseconds?: number }): Promise<void>
}

/** How long a closing server lets connections be on which nothing is asked. */
const idleMilliseconds = 500

/**
 * Starts an HTTPS server, which listens when the promise resolves: by default TLS 1.3 only, HTTP/2
 * and HTTP/1.1 by ALPN, every wait bounded. A TCP server accepts all connections, and the first octet
 * of each says whether it is TLS or plain HTTP, which is redirected. The TLS server hands each of its
 * connections to the HTTP/1 or the HTTP/2 server; none of these three listens itself. Throws
 * `port-in-use` or `listen-failed`.
 */
export async function createHttpsServer(options: HttpsServerOptions): Promise<HttpsServer> {
  const { clients, contexts, handler, onHandlerError, onRequest } = options
  const { minVersion = 'TLSv1.3', now = () => new Date(), onUpgrade } = options
  const limits: ServerLimits = { ...defaultLimits, ...options.limits }
  const inFlight = trackRequests()
  const sockets = new Set<Socket>()
  const isBalancer = balancersIn(options.proxies ?? [])
  /** The clients that balancers named, by connection. */
  const forwarded = new Map<string, Peer>()

  const onConnectionError = (error: Error, address: string): void => {
    // A connection without an address is one that the client has reset. What it said before that
    // counts: curl resets a connection on which it does not trust the certificate.
    if (address !== '' || isAlert(error)) options.onConnectionError?.(error, unmapped(address))
  }
  const onRefused = ({ sentence }: ClientRefusal, address: string): void =>
    onConnectionError(new RootlingError('not-trusted', sentence), address)
  const handleBy =
    (options: Pick<AnswerOptions, 'handler' | 'clients'>) =>
    (request: Request, response: Response): void => {
      begin(exchangeOf(request, response))
      if (onRequest !== undefined) logRequest(request, response, now, onRequest)
      void answer(request, response, { ...options, limits, onRefused, onHandlerError })
    }
  const begin = (exchange: Exchange): void => {
    inFlight.add(exchange)
    connections.answering(exchange)
  }
  const taker = options.taker && trackTaken(options.taker, limits, begin)
  const handle =
    taker === undefined
      ? handleBy({ handler, clients })
      : (request: Request, response: Response) =>
          taker.http1(request as IncomingMessage, response as ServerResponse)
  const busy = (): ReadonlySet<Socket> => inFlight.sockets()
  const http1 = createHttp1Server({
    limits,
    handle,
    busy,
    onConnectionError,
    onUpgrade: taker === undefined ? onUpgrade : undefined,
    taker,
  })
  const http2 = createHttp2Server({ limits, handle, onConnectionError, taker })
  const redirect = handleBy({ handler: redirectToHttps, clients: undefined })
  const plain = createHttp1Server({ limits, handle: redirect, busy, onConnectionError })

  let { pair } = options
  const settings = (shown: HttpsServerOptions['pair']): TlsOptions => ({
    ...clients?.tls,
    ...tlsSettings(shown, minVersion),
  })
  const front = createServer({
    ...settings(pair),
    SNICallback: contexts?.select((named) => createSecureContext(settings(named))),
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: limits.handshakeMilliseconds,
  })
  const door = createTcpServer({ noDelay: true })
  const connections = limitConnections(door, limits, isBalancer)
  clients?.attach(front)
  const track = (socket: Socket): void => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  }
  const handOver = (socket: TLSSocket): void =>
    (socket.alpnProtocol === 'h2' ? http2 : http1).accept(socket)
  const sort = (socket: Socket): void =>
    sortByFirstOctet(socket, {
      tls: (each) => void front.emit('connection', each),
      plainHttp: (each) => plain.accept(each),
      milliseconds: limits.handshakeMilliseconds,
      onSilent: (address) => onConnectionError(handshakeTimeout(), address),
    })
  const forward = (socket: Socket, client: Peer): void => {
    const connection = connectionOf(socket)
    if (connection === null || !connections.forwarded(socket, client.address)) return
    showPeer(socket, client)
    forwarded.set(connection, client)
    socket.once('close', () => forwarded.delete(connection))
    sort(socket)
  }
  /** Node makes the TLS socket, which has the addresses of the TCP socket below it. */
  const showForwarded = (socket: TLSSocket): void => {
    const client = forwarded.get(connectionOf(socket) ?? '')
    if (client !== undefined) showPeer(socket, client)
  }
  door.on('connection', (socket) => {
    if (socket.destroyed) return
    track(socket)
    const address = socket.remoteAddress ?? ''
    if (!isBalancer(address)) return sort(socket)
    readProxyHeader(socket, {
      onHeader: (client) => (client === null ? sort(socket) : forward(socket, client)),
      onRefused: (error) => onConnectionError(error, address),
      milliseconds: limits.handshakeMilliseconds,
    })
  })
  front.on('secureConnection', (socket) => {
    showForwarded(socket)
    // Asked now, the socket remembers its address for the log; after a reset it would have none.
    if (socket.remoteAddress === undefined) {
      socket.destroy()
      return
    }
    track(socket)
    if (clients === undefined) handOver(socket)
    else void admit(clients, socket, handOver, onRefused)
  })
  front.on('tlsClientError', (error, socket) => {
    showForwarded(socket)
    const address = socket.remoteAddress ?? ''
    // node:tls leaves the socket open, even after its handshake timeout.
    socket.destroy()
    if (!isHangUp(error)) onConnectionError(error, address)
  })
  let address
  try {
    const { host = '127.0.0.1', port = 8443, portOption, descriptor } = options
    address = await listen(door, host, port, portOption, { descriptor })
  } catch (error) {
    http1.close()
    plain.close()
    throw error
  }

  function renewContexts(): void {
    front.setSecureContext(settings(pair))
    contexts?.forget()
  }

  async function drain(milliseconds: number): Promise<void> {
    const closed = new Promise<void>((resolve) => door.close(() => resolve()))
    http1.close()
    plain.close()
    http2.close()
    inFlight.closeAfterAnswers()
    // A connection on which nothing is asked, such as one in its handshake, is not waited for, but
    // HTTP/2 has to say that it goes away.
    const idle = setTimeout(() => {
      const busy = new Set([...inFlight.sockets()].map(connectionOf))
      for (const socket of sockets) if (!busy.has(connectionOf(socket))) socket.destroy()
    }, idleMilliseconds)
    const kill = setTimeout(() => {
      for (const socket of sockets) socket.destroy()
    }, milliseconds)
    await closed
    clearTimeout(idle)
    clearTimeout(kill)
  }

  let closing: Promise<void> | null = null
  return {
    host: address.address,
    port: address.port,
    url: `https://${hostPort(address.address, address.port)}/`,
    replaceCertificate(next) {
      pair = next
      renewContexts()
    },
    replaceClientAuthorities(authorities) {
      clients?.trust(authorities)
      renewContexts()
    },
    close: ({ drainMilliseconds = 5_000 } = {}) => (closing ??= drain(drainMilliseconds)),
  }
}

/** Counts what a taker is given as busy, and refuses requests with too many headers before it. */
function trackTaken(
  taker: RequestTaker,
  limits: ServerLimits,
  begin: (exchange: Exchange) => void,
): RequestTaker {
  return {
    http1(request, response) {
      begin(exchangeOf(request, response))
      if (tooLarge(request, limits)) response.writeHead(431).end()
      else taker.http1(request, response)
    },
    upgrade(request, socket, head) {
      begin(exchangeOfUpgrade(socket))
      // node:http has set its limits for a connection on which nothing is asked.
      socket.setTimeout(0)
      if (!tooLarge(request, limits)) taker.upgrade(request, socket, head)
      else socket.end('HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n')
    },
    http2(stream, headers, rawHeaders, socket) {
      begin(exchangeOfStream(stream, socket))
      if (!tooLarge({ rawHeaders, httpVersionMajor: 2 }, limits))
        taker.http2(stream, headers, rawHeaders, socket)
      else stream.respond({ ':status': 431 }, { endStream: true })
    },
  }
}

const handshakeTimeout = (): Error =>
  Object.assign(new Error('TLS handshake timeout'), { code: 'ERR_TLS_HANDSHAKE_TIMEOUT' })

/**
 * Hands a connection over once the gate has let its client in; nothing is read from the client
 * before that.
 */
async function admit(
  clients: ClientGate,
  socket: TLSSocket,
  handOver: (socket: TLSSocket) => void,
  onRefused: (refusal: ClientRefusal, address: string) => void,
): Promise<void> {
  const address = socket.remoteAddress ?? ''
  // Until `handOver` neither node:tls nor node:http handles errors of the socket, and an unhandled
  // error ends the process.
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
