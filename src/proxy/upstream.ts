import { Agent as HttpAgent, request as askHttp } from 'node:http'
import type { AgentOptions, ClientRequest } from 'node:http'
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2'
import { Agent as HttpsAgent, request as askHttps } from 'node:https'
import { connect as connectTcp, type LookupFunction, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import * as tls from 'node:tls'
import { isIP } from '../x509/ip.ts'
import { holdWriteErrors } from './write-errors.ts'

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
  /** The words by which `rootling proxy add` changes its route; default: the name of the app. */
  readonly place?: string
  /** What to do where nothing listens, with commands in backticks; default: to start it, or to change its route. */
  readonly fix?: string
  /** Opens a connection to a server of this process, which has no port. */
  readonly connect?: () => Duplex
}

/** What the proxy asks of an upstream over HTTP/1. */
interface UpstreamRequest {
  readonly method: string
  readonly path: string
  readonly fields: string[]
}

/** The connections to the upstreams, which are kept for further requests. */
export interface Upstreams {
  /** `fresh`: on a new connection, which is closed after the answer. */
  ask(upstream: Upstream, request: UpstreamRequest, fresh: boolean): ClientRequest
  /** The HTTP/2 connection to an upstream, opened if there is none. */
  session(upstream: Upstream): ClientHttp2Session
  close(): void
}

/** The most of an answer's head that is read, as of a request's. */
export const headerBytes = 64 * 1024

/** How long a connection to an upstream may take; one on this machine is there, or refused, at once. */
const connectMilliseconds = 10_000

const agentOptions: AgentOptions = {
  keepAlive: true,
  maxFreeSockets: 256,
  // The connection that was used last is the least likely to have been closed.
  scheduling: 'lifo',
}

export function createUpstreams(roots: () => readonly string[]): Upstreams {
  const http = new HttpAgent(agentOptions)
  let https: {
    readonly roots: string
    readonly kept: HttpsAgent
    readonly fresh: HttpsAgent
  } | null = null
  const sessions = new Map<string, ClientHttp2Session>()
  const freshHttp = new HttpAgent()
  guard(http)
  guard(freshHttp)

  /** An agent keeps the roots that it began with. */
  function httpsAgent(fresh: boolean): HttpsAgent {
    const own = roots()
    const key = own.join('\n')
    if (https?.roots !== key) {
      closeUnused(https?.kept)
      // Made once: to read all roots takes milliseconds.
      const secureContext = tls.createSecureContext({ ca: [...nodesRoots(), ...own] })
      https = {
        roots: key,
        kept: new HttpsAgent({ ...agentOptions, secureContext }),
        fresh: new HttpsAgent({ secureContext }),
      }
      guard(https.kept)
      guard(https.fresh)
    }
    return fresh ? https.fresh : https.kept
  }

  return {
    ask(upstream, { method, path, fields }, fresh) {
      const target = targetOf(upstream)
      // Copied by hand, since this is done for each request.
      const options = {
        host: target.host,
        port: target.port,
        servername: target.servername,
        lookup: target.lookup,
        autoSelectFamily: target.autoSelectFamily,
        autoSelectFamilyAttemptTimeout: connectMilliseconds / 2,
        maxHeaderSize: headerBytes,
        setHost: false,
        method,
        path,
        headers: fields,
      }
      const { connect } = upstream
      // Without an agent the connection is closed after the answer.
      if (connect !== undefined) return askHttp({ ...options, createConnection: connect })
      if (target.isTls) return askHttps({ ...options, agent: httpsAgent(fresh) })
      return askHttp({ ...options, agent: fresh ? freshHttp : http })
    },
    session(upstream) {
      const { origin } = upstream
      const { host, port, lookup, autoSelectFamily } = targetOf(upstream)
      const key = `${host}:${port}`
      const known = sessions.get(key)
      if (known !== undefined && !known.closed && !known.destroyed) return known
      const socket = connectTcp({
        host,
        port,
        ...(lookup === undefined ? {} : { lookup }),
        autoSelectFamily,
        autoSelectFamilyAttemptTimeout: connectMilliseconds / 2,
        noDelay: true,
      })
      limitConnecting(socket)
      const session = connectHttp2(`http://${origin.host}`, {
        createConnection: () => socket,
        maxSessionMemory: 64,
      })
      const forget = (): void => {
        if (sessions.get(key) === session) sessions.delete(key)
      }
      session.on('error', forget).on('close', forget).on('goaway', forget)
      // An idle connection keeps no process.
      session.unref()
      sessions.set(key, session)
      return session
    },
    close() {
      http.destroy()
      https?.kept.destroy()
      for (const session of sessions.values()) session.destroy()
    },
  }
}

/** The host of an origin without the brackets of IPv6. */
export const hostname = ({ hostname: host }: URL): string =>
  host.startsWith('[') ? host.slice(1, -1) : host

export const portOf = ({ protocol, port }: URL): number =>
  port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)

/** `localhost` and the names below it are this machine (RFC 6761 §6.3), whatever a resolver says. */
const isLoopbackName = (host: string): boolean =>
  host === 'localhost' || host.endsWith('.localhost')

/** Development servers listen on ::1 or on 127.0.0.1: the second is tried when the first refuses. */
const lookupLoopback: LookupFunction = (_host, { all }, done) => {
  if (all === true)
    done(null, [
      { address: '::1', family: 6 },
      { address: '127.0.0.1', family: 4 },
    ])
  else done(null, '127.0.0.1', 4)
}

interface Target {
  readonly host: string
  readonly port: number
  readonly isTls: boolean
  readonly servername: string | undefined
  readonly lookup: LookupFunction | undefined
  readonly autoSelectFamily: boolean
}

const targets = new WeakMap<Upstream, Target>()

/** Reads where an upstream is, once for each object. */
function targetOf(upstream: Upstream): Target {
  const known = targets.get(upstream)
  if (known !== undefined) return known
  const { origin } = upstream
  const host = hostname(origin)
  const isTls = origin.protocol === 'https:'
  const isLoopback = isLoopbackName(host)
  const target = {
    host,
    port: portOf(origin),
    isTls,
    servername: !isTls ? undefined : isIP(host) > 0 ? '' : host,
    lookup: isLoopback ? lookupLoopback : undefined,
    autoSelectFamily: true,
  }
  targets.set(upstream, target)
  return target
}

/** Closes the connections of an agent that is no longer used, except those with a request. */
function closeUnused(agent: HttpAgent | undefined): void {
  for (const sockets of Object.values(agent?.freeSockets ?? {}))
    for (const socket of sockets ?? []) socket.destroy()
}

interface WithCreate {
  createConnection(options: object, done?: (error: Error | null, socket: Socket) => void): Socket
}

/** Makes the connections of an agent give up in time, and read what comes before a write fails. */
function guard(agent: HttpAgent): void {
  const made = agent as unknown as WithCreate
  const create = made.createConnection.bind(made)
  made.createConnection = (options, done) => limitConnecting(holdWriteErrors(create(options, done)))
}

/** Closes a connection that is not made in time. */
function limitConnecting(socket: Socket): Socket {
  const late = (): void =>
    void socket.destroy(Object.assign(new Error('It took too long.'), { code: 'ETIMEDOUT' }))
  const timer = setTimeout(late, connectMilliseconds)
  timer.unref()
  const stop = (): void => clearTimeout(timer)
  socket.once('connect', stop).once('close', stop)
  return socket
}

/** The roots that Node trusts; newer versions count those of NODE_EXTRA_CA_CERTS. */
function nodesRoots(): readonly string[] {
  const { getCACertificates } = tls as unknown as {
    getCACertificates?: (type: 'default') => string[]
  }
  return getCACertificates?.('default') ?? tls.rootCertificates
}
