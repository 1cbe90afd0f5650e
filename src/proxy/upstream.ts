import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2'
import {
  connect as connectTcp,
  type LookupFunction,
  type Socket,
  type TcpNetConnectOpts,
} from 'node:net'
import type { Duplex } from 'node:stream'
import * as tls from 'node:tls'
import { isIP } from '../x509/ip.ts'
import { readBuffer } from './body-buffers.ts'
import { Http1Connection, type Keeper } from './http1-connection.ts'
import { createKeptConnections } from './kept-connections.ts'

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

/** The connections to the upstreams, which are kept for further requests. */
export interface Upstreams {
  /**
   * A connection for one request over HTTP/1. `fresh`: a new one, which is closed after the answer and
   * can change its protocol.
   */
  connection(upstream: Upstream, fresh: boolean): Http1Connection
  /** The HTTP/2 connection to an upstream, opened if there is none. */
  session(upstream: Upstream): ClientHttp2Session
  close(): void
}

/** How long a connection to an upstream may take; one on this machine is there, or refused, at once. */
const connectMilliseconds = 10_000

export function createUpstreams(roots: () => readonly string[]): Upstreams {
  const kept = createKeptConnections()
  let https: { readonly roots: string; readonly secureContext: tls.SecureContext } | null = null
  const sessions = new Map<string, ClientHttp2Session>()

  /** A context keeps the roots that it began with, and so do the connections made with it. */
  function secureContext(): tls.SecureContext {
    const own = roots()
    const key = own.join('\n')
    if (https?.roots !== key) {
      kept.close('https:')
      // Made once: to read all roots takes milliseconds.
      const made = tls.createSecureContext({ ca: [...nodesRoots(), ...own] })
      https = { roots: key, secureContext: made }
    }
    return https.secureContext
  }

  function openTls(target: Target): Socket {
    const { servername } = target
    return limitConnecting(
      tls.connect({
        ...tcpOptions(target),
        servername,
        secureContext: secureContext(),
        ALPNProtocols: ['http/1.1'],
      }),
      'secureConnect',
    )
  }

  /** Opens a connection that reads into the memory that all of them share. */
  function openTcp(target: Target, keep: Keeper): Http1Connection {
    const socket = connectTcp({
      ...tcpOptions(target),
      onread: {
        buffer: readBuffer(),
        callback: (length, buffer) => {
          connection.read(buffer as Buffer, length)
          return true
        },
      },
    })
    const connection = new Http1Connection(limitConnecting(socket), keep)
    return connection
  }

  return {
    connection(upstream, fresh) {
      if (upstream.connect !== undefined)
        return new Http1Connection(upstream.connect(), null).listen()
      const target = targetOf(upstream)
      const { isTls, key } = target
      if (fresh) {
        const socket = isTls ? openTls(target) : limitConnecting(connectTcp(tcpOptions(target)))
        return new Http1Connection(socket, null).listen()
      }
      if (isTls) secureContext()
      const known = kept.take(key)
      if (known !== null) return known
      const keep: Keeper = (connection, milliseconds) => kept.put(key, connection, milliseconds)
      return isTls ? new Http1Connection(openTls(target), keep).listen() : openTcp(target, keep)
    },
    session(upstream) {
      const { origin } = upstream
      const target = targetOf(upstream)
      const { key } = target
      const known = sessions.get(key)
      if (known !== undefined && !known.closed && !known.destroyed) return known
      const socket = limitConnecting(connectTcp(tcpOptions(target)))
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
      kept.close()
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
  /** Tells apart the connections to different servers. */
  readonly key: string
  readonly host: string
  readonly port: number
  readonly isTls: boolean
  readonly servername: string
  readonly lookup: LookupFunction | undefined
}

const targets = new WeakMap<Upstream, Target>()

/** Reads where an upstream is, once for each object. */
function targetOf(upstream: Upstream): Target {
  const known = targets.get(upstream)
  if (known !== undefined) return known
  const { origin } = upstream
  const host = hostname(origin)
  const port = portOf(origin)
  const target = {
    key: `${origin.protocol}${host}:${port}`,
    host,
    port,
    isTls: origin.protocol === 'https:',
    servername: isIP(host) > 0 ? '' : host,
    lookup: isLoopbackName(host) ? lookupLoopback : undefined,
  }
  targets.set(upstream, target)
  return target
}

const tcpOptions = ({ host, port, lookup }: Target): TcpNetConnectOpts => ({
  host,
  port,
  ...(lookup === undefined ? {} : { lookup }),
  autoSelectFamily: true,
  autoSelectFamilyAttemptTimeout: connectMilliseconds / 2,
  noDelay: true,
})

/** Closes a connection that is not made in time; it keeps no process. */
function limitConnecting(socket: Socket, made = 'connect'): Socket {
  const late = (): void =>
    void socket.destroy(Object.assign(new Error('It took too long.'), { code: 'ETIMEDOUT' }))
  const timer = setTimeout(late, connectMilliseconds)
  timer.unref()
  const stop = (): void => clearTimeout(timer)
  socket.once(made, stop).once('close', stop)
  return socket.unref()
}

/** The roots that Node trusts; newer versions count those of NODE_EXTRA_CA_CERTS. */
function nodesRoots(): readonly string[] {
  const { getCACertificates } = tls as unknown as {
    getCACertificates?: (type: 'default') => string[]
  }
  return getCACertificates?.('default') ?? tls.rootCertificates
}
