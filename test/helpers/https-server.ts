import { once } from 'node:events'
import { createServer } from 'node:https'
import type { Server, ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'

/** A server on one port of 127.0.0.1 and, where the machine has it, of ::1. */
export interface TestServer {
  readonly port: number
  close(): Promise<void>
}

/** Whether this machine has ::1; without it the tests of `https://[::1]` are skipped. */
export function hasIpv6Loopback(): boolean {
  return Object.values(networkInterfaces()).some((rows) => rows?.some((r) => r.address === '::1'))
}

/** Starts an HTTPS server that answers every request with `body`. */
export async function startHttpsServer(options: ServerOptions, body: string): Promise<TestServer> {
  const first = await listen(options, body, '127.0.0.1', 0)
  const { port } = first.address() as AddressInfo
  const servers = [first]
  if (hasIpv6Loopback()) servers.push(await listen(options, body, '::1', port))
  return {
    port,
    async close() {
      for (const server of servers) {
        server.closeAllConnections()
        server.close()
        await once(server, 'close')
      }
    },
  }
}

async function listen(options: ServerOptions, body: string, host: string, port: number) {
  const server: Server = createServer(options, (_request, response) => {
    response.setHeader('content-type', 'text/plain')
    response.end(body)
  })
  // A client that refuses the certificate breaks off the handshake, which is no failure of the
  // server.
  server.on('tlsClientError', () => {})
  server.listen(port, host)
  await once(server, 'listening')
  return server
}
