import type { IncomingMessage, ServerResponse } from 'node:http'
import { createSecureServer } from 'node:http2'
import type {
  Http2SecureServer,
  Http2ServerRequest,
  Http2ServerResponse,
  ServerHttp2Session,
  SecureServerOptions as Http2Settings,
} from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { Server, ServerOptions as HttpsSettings } from 'node:https'
import type { Socket } from 'node:net'
import {
  checkedLater,
  checkOptions,
  flag,
  object,
  shownValue,
  someNamesOf,
  type OptionKinds,
} from '../arguments.ts'
import { RootlingError } from '../errors.ts'
import {
  renewalOptions,
  secureContextFor,
  type RenewalOptions,
  type ServerContext,
} from './secure-context.ts'

const decided = ['cert', 'key', 'pfx', 'passphrase', 'SNICallback', 'secureContext'] as const

/**
 * The settings of Node's own server that the certificate decides.
 *
 * @inline
 */
type Decided = (typeof decided)[number]

interface CommonOptions extends RenewalOptions {
  /**
   * Hosts, wildcards and IP addresses of the server; default: `localhost`, `127.0.0.1` and `::1`.
   */
  readonly names?: string | readonly string[]
}

/** What a server of HTTP/1.1 can have. */
export interface HttpsServerOptions extends CommonOptions {
  /** Whether the server speaks HTTP/2; default: `false`. */
  readonly http2?: false
  /** Further settings for `https.createServer`, such as `requestCert` and `keepAliveTimeout`. */
  readonly server?: Omit<HttpsSettings, Decided>
}

/** What a server of HTTP/2 can have. */
export interface Http2ServerOptions extends CommonOptions {
  /** Whether the server speaks HTTP/2, and HTTP/1.1 to clients without it; default: `false`. */
  readonly http2: true
  /** Further settings for `http2.createSecureServer`; `allowHTTP1` is true unless it is false here. */
  readonly server?: Omit<Http2Settings, Decided>
}

/** @inline */
type HttpsListener = (request: IncomingMessage, response: ServerResponse) => unknown
/** @inline */
type Http2Listener = (request: Http2ServerRequest, response: Http2ServerResponse) => unknown

const localNames = ['localhost', '127.0.0.1', '::1']

const serverOptions: OptionKinds<HttpsServerOptions> = {
  names: checkedLater("['localhost', '127.0.0.1', '::1']"),
  http2: flag,
  server: object('{ keepAliveTimeout: 5_000 }'),
  ...renewalOptions,
}

/**
 * Creates a server as `https.createServer` does, or `http2.createSecureServer`, whose certificate
 * this machine's authority issues and keeps, and which renews itself while it runs: when two thirds
 * of the certificate's lifetime have passed, when it is revoked, and when the authority is replaced.
 * With `onDemand` it also has a certificate for any other name that the authority may sign. In Bun
 * that needs `http2: true`: its `https.createServer` keeps the one certificate that it began with.
 *
 * It is Node's own server and does not listen yet: an error of `listen`, such as EADDRINUSE, comes as
 * the server's event `error`. The renewal keeps no process alive, and ends when the server closes.
 * `await using` closes the server with its connections: those that answer a request have five
 * seconds. Creates a certificate authority where there is none yet; `rootling install` makes it
 * trusted. Never prompts. Throws what `certificateFor` throws.
 *
 * @example
 * import { createServer } from 'rootling'
 *
 * const server = await createServer({ http2: true }, (request, response) => response.end('hello'))
 * server.listen(8443, () => console.log('https://localhost:8443/'))
 */
export function createServer(
  options: Http2ServerOptions,
  listener?: Http2Listener,
): Promise<Http2SecureServer>
export function createServer(
  options?: HttpsServerOptions,
  listener?: HttpsListener,
): Promise<Server>
export function createServer(listener: HttpsListener): Promise<Server>
export async function createServer(
  given: HttpsServerOptions | Http2ServerOptions | HttpsListener = {},
  second?: HttpsListener | Http2Listener,
): Promise<Server | Http2SecureServer> {
  const [options, listener] = typeof given === 'function' ? [{}, given] : [given, second]
  checkCall(given, second)
  const { names = localNames, http2 = false, server: further, ...renewal } = options
  const { onRenewed } = renewal
  const list = someNamesOf(names, "createServer({ names: ['localhost', '127.0.0.1', '::1'] })")
  // Node needs a list of CAs, if it is to ask clients for certificates; else it would read all
  // public roots for nothing.
  const settings = {
    ...(further?.requestCert === true ? {} : { ca: [] }),
    ...further,
  }
  const context = await secureContextFor(list, {
    ...renewal,
    tls: settings,
    onRenewed(certificate) {
      const { cert, key } = certificate
      if (!('setSecureContext' in server)) throw fixedInBun()
      server.setSecureContext({ ...settings, cert, key })
      onRenewed?.(certificate)
    },
  })
  const { cert, key, SNICallback } = context
  const all = { ...settings, cert, key, SNICallback }
  let server: Server | Http2SecureServer
  try {
    server = http2
      ? createSecureServer({ ...pageLimits, allowHTTP1: true, ...all }, listener as Http2Listener)
      : createHttpsServer(all, listener as HttpsListener)
  } catch (error) {
    // Node refuses a setting, such as a limit that is no number.
    context.close()
    throw error
  }
  return closing(server, context)
}

/**
 * A browser asks a dev server for hundreds of modules in one session and drops those requests when
 * the page is loaded again. Node's own limits are 10 MB of memory for a session and 1,000 dropped
 * requests: then it ends the session, and the browser shows ERR_HTTP2_PROTOCOL_ERROR.
 * https://github.com/vitejs/vite/pull/6207, https://github.com/vitejs/vite/pull/21024
 */
const pageLimits = {
  maxSessionMemory: 1_000,
  // Node 20 does not know these two.
  streamResetBurst: 100_000,
  streamResetRate: 33,
}

/** Throws `usage` for what only a caller without types can pass. */
function checkCall(given: unknown, listener: unknown): void {
  const hint = "createServer({ names: ['localhost', '::1'] }, (request, response) => {})"
  if (typeof given === 'function') {
    if (listener === undefined) return
    throw new RootlingError('usage', 'createServer takes the options before the listener.', {
      hint,
    })
  }
  if (typeof given === 'string' || Array.isArray(given))
    throw new RootlingError(
      'usage',
      `createServer takes its names in an object, not ${shownValue(given)} alone.`,
      { hint },
    )
  if (typeof given === 'object' && given !== null && ('port' in given || 'host' in given))
    throw new RootlingError('usage', 'createServer has no options port and host.', {
      hint: "server.listen(8443, 'localhost')",
    })
  checkOptions('createServer', given, serverOptions)
  const { server = {} } = given as HttpsServerOptions
  const own = decided.find((name) => Object.hasOwn(server, name))
  if (own !== undefined)
    throw new RootlingError('usage', `server.${own} is not an option: createServer sets it.`, {
      hint: "For a certificate of your own, use createServer of 'node:https'",
    })
  if (listener !== undefined && typeof listener !== 'function')
    throw new RootlingError('usage', `listener must be a function, not ${shownValue(listener)}.`, {
      hint,
    })
}

const fixedInBun = (): RootlingError =>
  new RootlingError('unsupported', "Bun's server of node:https cannot change its certificate.", {
    hint: 'Start it again, or call createServer({ http2: true }), whose server renews itself in Bun too',
  })

const drainMilliseconds = 5_000

/** Makes the server stop its renewal when it closes, and `await using` end its connections. */
function closing<T extends Server | Http2SecureServer>(server: T, context: ServerContext): T {
  const sessions = new Set<ServerHttp2Session>()
  const sockets = new Set<Socket>()
  server.on('close', () => context.close())
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session)
    session.on('close', () => sessions.delete(session))
  })
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  const dispose = async (): Promise<void> => {
    context.close()
    if (!server.listening) return
    const closed = new Promise((resolve) => server.close(resolve))
    for (const session of sessions) session.close()
    const late = setTimeout(() => {
      for (const socket of sockets) socket.destroy()
    }, drainMilliseconds)
    await closed
    clearTimeout(late)
  }
  return Object.assign(server, { [Symbol.asyncDispose]: dispose })
}
