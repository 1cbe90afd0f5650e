import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'
import { hasIpv6Loopback } from '../../../helpers/https-server.ts'

/** A server that knows whether a client accepted its certificate. */
export interface AskedServer {
  readonly port: number
  /** Whether a request has come since the last call: a client sends one only after it accepted. */
  takeAsked(): boolean
  close(): void
}

/** What a client of PostgreSQL sends before TLS: SSLRequest, of protocol 1234.5679. */
const sslRequest = Buffer.from('0000000804d2162f', 'hex')

/** Serves HTTPS, or PostgreSQL's TLS, to any client, and answers each request with nothing. */
export async function serveAsked(key: string, cert: string): Promise<AskedServer> {
  const secureContext = createSecureContext({ key, cert })
  let asked = false
  const serve = (socket: Socket): void => {
    const wire = new TLSSocket(socket, {
      isServer: true,
      secureContext,
      // gRPC speaks HTTP/2 alone, and its core asks that the server says so.
      ALPNCallback: ({ protocols }) =>
        protocols.find((name) => name === 'http/1.1') ?? protocols[0],
    })
    wire.on('error', () => socket.destroy())
    wire.on('data', () => {
      asked = true
      wire.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
    })
  }
  const accept = (socket: Socket): void => {
    socket.on('error', () => socket.destroy())
    socket.once('readable', () => {
      const first = socket.read() as Buffer | null
      if (first === null) return
      if (first.equals(sslRequest)) socket.write('S')
      else socket.unshift(first)
      serve(socket)
    })
  }
  const servers: Server[] = []
  const listen = async (host: string, port: number): Promise<number> => {
    const server = createServer(accept)
    server.listen(port, host)
    await once(server, 'listening')
    servers.push(server)
    return (server.address() as AddressInfo).port
  }
  const port = await listen('127.0.0.1', 0)
  if (hasIpv6Loopback()) await listen('::1', port)
  return {
    port,
    takeAsked() {
      const was = asked
      asked = false
      return was
    },
    close: () => servers.forEach((server) => server.close()),
  }
}
