import { createServer } from 'node:http'
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { RequestTaker, UpgradeListener } from './exchange.ts'
import { lingerUntilRead } from './linger.ts'
import { isHangUp, type ProtocolOptions, type ProtocolServer } from './protocol.ts'

export interface Http1Options extends ProtocolOptions {
  /** Returns the connections with a request that is being answered. */
  readonly busy: () => ReadonlySet<Socket>
  /**
   * Takes over the connection of an HTTP/1.1 `Upgrade` request; without this function such a
   * request is answered like any other.
   */
  readonly onUpgrade?: UpgradeListener | undefined
  /** Takes over what node:http would answer or refuse itself: CONNECT, and any `Expect`. */
  readonly taker?: Pick<RequestTaker, 'http1' | 'upgrade'> | undefined
}

/**
 * Creates a server that speaks HTTP/1 on the connections given to `accept`; it never listens
 * itself.
 */
export function createHttp1Server(options: Http1Options): ProtocolServer {
  const { limits, handle, busy, onConnectionError, onUpgrade, taker } = options
  const sockets = new Set<Socket>()
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMilliseconds,
      requestTimeout: limits.requestMilliseconds,
      keepAliveTimeout: limits.idleMilliseconds,
      connectionsCheckingInterval: Math.min(1_000, limits.headersMilliseconds / 4),
    },
    handle,
  )
  // 0 keeps all headers. With a limit node:http would leave out the rest, such as a second Host;
  // `handle` refuses a request with too many headers instead.
  server.maxHeadersCount = 0
  server.setTimeout(limits.idleMilliseconds, (socket: Socket) => {
    // `limitConnections` closes the connection of a client that does not read its answer.
    if (!busy().has(socket)) socket.destroy()
  })
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const address = (socket as Socket).remoteAddress ?? ''
    // What still comes in after a refusal is an error again, and is discarded.
    if (!sockets.delete(socket as Socket)) return
    refuse(error, socket as Socket)
    if (!isHangUp(error)) onConnectionError?.(error, address)
  })
  if (onUpgrade !== undefined)
    server.on('upgrade', (request, socket, head) => {
      sockets.delete(socket as Socket)
      onUpgrade(request, socket, head)
    })
  if (taker !== undefined) {
    for (const event of ['checkContinue', 'checkExpectation'])
      server.on(event, (request, response) => taker.http1(request, response))
    for (const event of ['upgrade', 'connect'])
      server.on(event, (request, socket, head) => {
        sockets.delete(socket as Socket)
        taker.upgrade(request, socket as TLSSocket, head)
      })
  }
  // node:http starts its timer for slow request heads on this event. Only `listen` would emit the
  // event, and this server never listens.
  server.emit('listening')
  return {
    accept(socket) {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      server.emit('connection', socket)
    },
    close() {
      server.close()
      const answering = busy()
      for (const socket of sockets) if (!answering.has(socket)) socket.destroy()
    },
  }
}

/** Answers a request that could not be read with 431, 408 or 400, and closes its connection. */
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
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  lingerUntilRead(socket)
}
