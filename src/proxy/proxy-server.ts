import { request as askUpstream } from 'node:http'
import type { Contexts } from '../server/contexts.ts'
import { hostOf } from '../server/host-check.ts'
import type { Request, Response } from '../server/http.ts'
import { createHttpsServer, type HttpsServer } from '../server/https.ts'
import type { KeyPair } from '../server/key-pair.ts'

/** Where the requests for an app go. */
export interface Upstream {
  /** For error pages: the name of the app, such as `shop.localhost`. */
  readonly app: string
  /**
   * `http:`, `https:`, or `h2c:` (HTTP/2 without TLS, as gRPC servers speak it); only an origin.
   * `localhost` tries both ::1 and 127.0.0.1.
   */
  readonly origin: URL
  /**
   * Whether the upstream gets its own host as Host instead of the client's (`changeOrigin`).
   * Default false.
   */
  readonly changeOrigin?: boolean
}

/** One request that was answered, or whose connection broke. */
export interface ProxyEntry {
  readonly time: Date
  /** Lower case, without port; empty: the request named no host, or several. */
  readonly host: string
  readonly path: string
  readonly method: string
  /** `null`: the connection ended before an answer. 101: a WebSocket was opened, over HTTP/2 too. */
  readonly status: number | null
  readonly milliseconds: number
  /** The app that answered, or should have; `null`: no route fits the request. */
  readonly app: string | null
  /** How many octets of the answer's body were sent. */
  readonly octets: number
  /** Why the app may have refused the request, and what to do; absent: nothing is known. */
  readonly hint?: string
}

export interface ProxyServerOptions {
  readonly host: string
  readonly port: number
  readonly portOption?: string
  /** Shown to clients that ask for no name, or one that gets no certificate. */
  readonly pair: Pick<KeyPair, 'cert' | 'key'>
  /** Certificates by name (src/server/contexts.ts). */
  readonly contexts?: Contexts
  /**
   * Returns where a request goes; null: nowhere, which is answered by 404 with the list of apps.
   * `host` is lower case, without port.
   */
  readonly find: (host: string, path: string) => Upstream | null
  /** The hosts of all routes, for the page 404. */
  readonly hosts: () => readonly string[]
  /** The roots, PEM, that sign https upstreams, besides those that Node trusts. */
  readonly roots?: () => readonly string[]
  readonly now: () => Date
  /**
   * Called after each answer, for the dashboard: host, path, method, status, milliseconds, app,
   * octets.
   */
  readonly onRequest?: (entry: ProxyEntry) => void
  readonly onError?: (error: unknown) => void
}

/** Starts the proxy. Throws `port-in-use` or `listen-failed`. */
export function createProxyServer(options: ProxyServerOptions): Promise<HttpsServer> {
  const { host, port, portOption, pair, contexts, onError } = options
  return createHttpsServer({
    host,
    port,
    portOption,
    pair,
    contexts,
    handler: (request, response) => forward(options, request, response),
    onHandlerError: onError,
  })
}

function forward(options: ProxyServerOptions, request: Request, response: Response): void {
  const host = hostOf(request) ?? ''
  const upstream = options.find(host, request.url ?? '/')
  if (upstream === null) {
    response.statusCode = 404
    response.end(`${options.hosts().join('\n')}\n`)
    return
  }
  const headers = Object.entries(request.headers).filter(([name]) => !name.startsWith(':'))
  const { hostname, port } = upstream.origin
  const outgoing = askUpstream(
    {
      hostname,
      port,
      method: request.method,
      path: request.url,
      headers: Object.fromEntries(headers),
    },
    (answer) => {
      response.statusCode = answer.statusCode ?? 502
      answer.pipe(response)
    },
  )
  outgoing.on('error', () => {
    response.statusCode = 502
    response.end()
  })
  request.pipe(outgoing)
}
