import { createServer } from 'node:http'
import { createServer as createTcpServer, type Socket } from 'node:net'
import { limitConnections } from '../../server/connections.ts'
import { hostOf } from '../../server/host-check.ts'
import { defaultLimits, tooManyHeaders } from '../../server/limits.ts'
import { hostPort, listen } from '../../server/listen.ts'

export interface HttpsRedirect {
  readonly port: number
  close(): Promise<void>
}

/**
 * Redirects every request over plain HTTP to the same host and path over HTTPS at another port (RFC
 * 9110 §15.4.9: the client repeats the request, with its method and body). Throws `port-in-use` or
 * `listen-failed`.
 */
export async function startHttpsRedirect(
  host: string,
  port: number,
  httpsPort: number,
  descriptor?: number,
): Promise<HttpsRedirect> {
  const limits = defaultLimits
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headersMilliseconds,
      requestTimeout: limits.requestMilliseconds,
      connectionsCheckingInterval: 1_000,
    },
    (request, response) => {
      response.setHeader('Content-Type', 'text/plain; charset=utf-8')
      response.setHeader('Connection', 'close')
      const asked = tooManyHeaders(request, limits) ? null : hostOf(request)
      if (asked === null) {
        response.statusCode = 400
        response.end('The proxy speaks HTTPS.\n')
        return
      }
      const where = httpsPort === 443 ? bracketed(asked) : hostPort(asked, httpsPort)
      const location = `https://${where}${request.url === '*' ? '/' : request.url}`
      response.statusCode = 308
      response.setHeader('Location', location)
      response.end(`The proxy speaks HTTPS: ${location}\n`)
    },
  )
  const door = createTcpServer({ noDelay: true })
  limitConnections(door, limits)
  // 0 keeps all headers. With a limit node:http would leave out the rest, such as a second Host.
  server.maxHeadersCount = 0
  server.setTimeout(limits.idleMilliseconds)
  // On this event node:http starts its timer for slow requests, and `listen` alone would emit it.
  server.emit('listening')
  const sockets = new Set<Socket>()
  door.on('connection', (socket) => {
    if (socket.destroyed) return
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    server.emit('connection', socket)
  })
  try {
    const { port: taken } = await listen(door, host, port, undefined, { descriptor })
    return {
      port: taken,
      close: () =>
        new Promise((resolve) => {
          door.close(() => resolve())
          server.close()
          for (const socket of sockets) socket.destroy()
        }),
    }
  } catch (error) {
    server.close()
    throw error
  }
}

const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host)
