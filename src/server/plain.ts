import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { limitConnections } from './connections.ts'
import { exchangeOf } from './exchange.ts'
import { defaultLimits } from './limits.ts'
import { listen } from './listen.ts'
import { showPeer } from './peer.ts'
import { balancersIn, readProxyHeader } from './proxy-protocol.ts'

export interface PlainServerOptions {
  /** Answers the requests. It must refuse those with `tooManyHeaders`. */
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void
  readonly host: string
  readonly port: number
  /** The name of the command's option that says which port, for hints; default `port`. */
  readonly portOption?: string | undefined
  /**
   * Addresses and ranges of balancers, as `createHttpsServer` takes them: their connections begin with a
   * PROXY header, and count as those of the client that it names. Without it, all clients behind a
   * balancer would share the connections of one address.
   */
  readonly proxies?: readonly string[] | undefined
}

export interface PlainServer {
  readonly port: number
  /** Takes no new connections, and ends the open ones. */
  close(): Promise<void>
}

/**
 * Serves plain HTTP/1 for what needs no TLS, with every wait bounded. A TCP server accepts the
 * connections, and hands them to the HTTP server, which never listens itself. Throws `port-in-use`
 * or `listen-failed`, and `usage` for `proxies`.
 */
export async function createPlainServer(options: PlainServerOptions): Promise<PlainServer> {
  const limits = defaultLimits
  const isBalancer = balancersIn(options.proxies ?? [])
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMilliseconds,
      requestTimeout: limits.requestMilliseconds,
      keepAliveTimeout: limits.headersMilliseconds,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      connections.answering(exchangeOf(request, response))
      options.handle(request, response)
    },
  )
  const door = createTcpServer({ noDelay: true })
  const connections = limitConnections(door, limits, isBalancer)
  // 0 keeps all headers. With a limit node:http would leave out the rest, such as a second Host;
  // the handler refuses a request with too many headers instead.
  server.maxHeadersCount = 0
  server.setTimeout(limits.idleMilliseconds)
  // On this event node:http starts its timer for slow requests, and `listen` alone would emit it.
  server.emit('listening')
  const sockets = new Set<Socket>()
  const accept = (socket: Socket): void => void server.emit('connection', socket)
  door.on('connection', (socket) => {
    if (socket.destroyed) return
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    if (!isBalancer(socket.remoteAddress ?? '')) return accept(socket)
    readProxyHeader(socket, {
      onHeader(client) {
        if (client !== null) {
          if (!connections.forwarded(socket, client.address)) return
          showPeer(socket, client)
        }
        accept(socket)
      },
      onRefused: () => undefined,
      milliseconds: limits.headersMilliseconds,
    })
  })
  let port
  try {
    port = (await listen(door, options.host, options.port, options.portOption)).port
  } catch (error) {
    server.close()
    throw error
  }
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        door.close(() => resolve())
        server.close()
        for (const socket of sockets) socket.destroy()
      }),
  }
}
