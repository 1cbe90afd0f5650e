import type { Contexts } from '../server/contexts.ts'
import { createHttpsServer, type HttpsServer } from '../server/https.ts'
import type { KeyPair } from '../server/key-pair.ts'
import type { ServerLimits } from '../server/limits.ts'
import { createRequests, type RequestsOptions } from './requests.ts'
import { headBytes } from './answer-head.ts'
import { createUpstreams } from './upstream.ts'

export type { ProxyEntry } from './log.ts'
export type { Upstream } from './upstream.ts'

export interface ProxyServerOptions extends RequestsOptions {
  readonly host: string
  readonly port: number
  readonly portOption?: string
  /** The descriptor of a socket that a service manager bound, in place of host and port. */
  readonly descriptor?: number | undefined
  /** Shown to clients that ask for no name, or one that gets no certificate. */
  readonly pair: Pick<KeyPair, 'cert' | 'key'>
  /** Certificates by name (src/server/contexts.ts). */
  readonly contexts?: Contexts
  /** The roots, PEM, that sign https upstreams, besides those that Node trusts. */
  readonly roots?: () => readonly string[]
}

/** Limits that suit uploads and streams of any length, and pages with many connections. */
const limits: Partial<ServerLimits> = {
  requestMilliseconds: 0,
  leastBytesPerSecond: 0,
  headerBytes: headBytes,
  headers: 512,
  connections: 8_192,
  connectionsPerAddress: 1_024,
  streams: 256,
  // Hot module replacement cancels requests by the thousand.
  streamResetBurst: 100_000,
  streamResetRate: 10_000,
}

/**
 * Starts the proxy: HTTP/1.1 and HTTP/2 over TLS in; HTTP/1.1 with or without TLS, or HTTP/2 without
 * TLS, out. Requests that two readers could understand differently are refused. Throws `port-in-use`
 * or `listen-failed`.
 */
export async function createProxyServer(options: ProxyServerOptions): Promise<HttpsServer> {
  const { host, port, portOption, descriptor, pair, contexts, now, onError } = options
  const upstreams = createUpstreams(options.roots ?? (() => []))
  const requests = createRequests(options, upstreams)
  const server = await createHttpsServer({
    host,
    port,
    portOption,
    descriptor,
    pair,
    contexts,
    limits,
    now,
    // The taker has all requests but those that are redirected to HTTPS.
    handler: () => {},
    onHandlerError: onError,
    taker: requests,
  })
  return {
    ...server,
    async close(closeOptions) {
      await server.close(closeOptions)
      upstreams.close()
    },
  }
}
