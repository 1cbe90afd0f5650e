import { once } from 'node:events'
import { createServer, get, type RequestOptions, type Server, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { onTestFinished } from 'vitest'

/** Starts a server that says hello, and returns its port; the server ends with the test. */
export async function serve(options: ServerOptions): Promise<number> {
  return listen(createServer(options, (_request, response) => response.end('hello')))
}

/**
 * Starts a server that asks for a client certificate, accepts any, and says why another one would
 * refuse it: Node's code, or the client's common name.
 */
export async function serveClients(options: ServerOptions): Promise<number> {
  const asking = { ...options, requestCert: true, rejectUnauthorized: false }
  return listen(
    createServer(asking, ({ socket }, response) => {
      const { authorized, authorizationError } = socket as TLSSocket
      const { subject } = (socket as TLSSocket).getPeerCertificate()
      response.end(authorized ? subject.CN : String(authorizationError))
    }),
  )
}

async function listen(server: Server): Promise<number> {
  await once(server.listen(0, 'localhost'), 'listening')
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

/** Returns the body, or the code of the error. */
export function visit(port: number, options: RequestOptions = {}): Promise<string | undefined> {
  return new Promise((resolve) => {
    const request = get({ host: 'localhost', port, agent: false, ...options }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.on('end', () => resolve(body))
    })
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
  })
}
