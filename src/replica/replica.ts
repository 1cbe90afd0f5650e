import { createServer } from 'node:http'
import { isIP } from 'node:net'
import { createAcmeAuthority, type AcmeAuthority } from '../acme/acme-authority.ts'
import type { AcmeOptions } from '../acme/options.ts'
import { routes } from '../acme/routes.ts'
import { createAcmeServer, type AcmeServer, type Shown } from '../acme/server.ts'
import { openPostgresStore } from '../acme/store/postgres.ts'
import { noAuthority } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import type { Handler } from '../server/http.ts'
import { createHttpsServer, type HttpsServer } from '../server/https.ts'
import { isLoopbackHost } from '../server/host-check.ts'
import { listen } from '../server/listen.ts'
import { createRevocationServer } from '../sites/revocation/server.ts'
import { isOutage, retryAfterOutage } from '../storage/outage.ts'
import type { Database } from '../storage/postgres/database.ts'
import { countDue, crlAges } from '../storage/postgres/gauges.ts'
import type { Sealer } from '../storage/postgres/seal.ts'
import { postgresStorage } from '../storage/postgres/storage.ts'
import { openAdminHttps } from './admin-https.ts'
import { adminMethods, administer } from './admin-methods.ts'
import { openAdminSocket } from './admin-socket.ts'
import type { Administrators } from './administrators.ts'
import { createHealth } from './health.ts'
import { createJsonLog, createRoutes, type JsonLog } from './json-log.ts'
import { createMetrics, type Metrics } from './metrics.ts'
import { ownCertificate } from './own-certificate.ts'
import { publishedRoots, withRetired } from './retired.ts'
import { checkKeys } from './watch-keys.ts'

export interface ReplicaOptions {
  /** `migrate` has made its schema, and `foundAuthority` the authority in it. The caller closes it. */
  readonly database: Database
  readonly sealer: Sealer
  /** The URL by which clients reach all replicas, such as `https://ca.team.internal`, without a path. */
  readonly url: URL
  /** The address and the port to listen on; 0 takes a free port. */
  readonly host: string
  readonly port: number
  /** Where OCSP and the CRL are served over plain HTTP; `null`: nowhere, and no certificate names it. */
  readonly revocation: { readonly url: URL; readonly port: number } | null
  /** The path of the administrator's socket. */
  readonly socket: string
  /** Where administrators are served over TLS, and who they are; absent: nowhere. */
  readonly admin?:
    | { readonly host: string; readonly port: number; readonly administrators: Administrators }
    | undefined
  /** Addresses or CIDR ranges of balancers, which begin each connection with a PROXY header. */
  readonly proxies?: readonly string[] | undefined
  /** What is left out here has the defaults of a server that other machines reach. */
  readonly acme?: AcmeOptions | undefined
  /** The port of loopback where metrics are served over plain HTTP; `null`: they are not. */
  readonly metricsPort: number | null
  readonly now: () => Date
  /** Writes a line of the log, which ends with a newline. */
  readonly write: (line: string) => void
}

export interface Replica {
  /** The directory of the ACME server, and the URL of the roots. */
  readonly urls: {
    readonly acme: string
    readonly roots: string
    readonly revocation: string | null
    readonly admin: string | null
  }
  readonly port: number
  readonly log: JsonLog
  /** Says that it is not ready, so that a balancer sends its clients elsewhere, and goes on serving. */
  drain(): void
  /** Finishes the requests in flight, and ends. */
  close(): Promise<void>
}

/**
 * Starts one process of a team's ACME server. Any number of them share a database, behind any load
 * balancer. Throws `no-authority`, `not-permitted` for a URL whose host the authority may not sign,
 * `port-in-use`, `listen-failed`, `bad-key` for a wrong passphrase, and `database-away`.
 */
export async function startReplica(options: ReplicaOptions): Promise<Replica> {
  const { database, sealer, url, host, now, revocation } = options
  const storage = postgresStorage(database, sealer)
  if ((await storage.scopes.names()).length === 0)
    throw new RootlingError('no-authority', `There is no authority in ${database.place} yet.`, {
      hint: 'rootling server init',
      cause: noAuthority(),
    })
  await checkKeys(storage)
  const base = url.href.replace(/\/$/, '')
  const routeOf = createRoutes('/acme', routes.keys(), plainPaths)
  const unlogged = new Set(healthPaths)
  const log = createJsonLog({ write: options.write, now, routeOf, unlogged })
  const closing: (() => unknown)[] = []
  const close = async (): Promise<void> => {
    for (const step of closing.splice(0).toReversed())
      try {
        await step()
      } catch (error) {
        log.event('error', 'closing failed', { error: textOf(error) })
      }
  }
  const onError = (error: unknown): void => log.event('error', 'failed', { error: textOf(error) })
  const metrics = createMetrics({
    pool: () => database.pool(),
    crlAges: () => crlAges(database, now()),
    certificatesDue: () => countDue(database, now()),
    onError,
  })
  try {
    const acme = await createAcmeServer({
      baseUrl: `${base}/acme`,
      store: await openPostgresStore(database, sealer),
      authority: withoutHints(
        createAcmeAuthority({
          storage,
          now,
          revocationUrl: revocation?.url.href.replace(/\/$/, ''),
          shortLives: true,
        }),
      ),
      // All clients are of other machines.
      owners: null,
      eabCommand: 'rootling server eab create',
      now,
      onError,
      onInvalid: (type, problem) => metrics.validationFailed(type, problem),
      onAnswer: (request, shown) => countOrders(metrics, routeOf(request.url ?? ''), shown),
      onAccount: (request, account) => log.account(request, account),
      options: { allowRemote: true, eabRequired: true, ...options.acme },
    })
    closing.push(() => acme.close())
    const servers: HttpsServer[] = []
    const own = await ownCertificate({
      storage,
      host: bareHost(url),
      now,
      onRenewed: (pair) => servers.forEach((server) => server.replaceCertificate(pair)),
      onFailed: onError,
    })
    closing.push(() => own.stop())
    const health = createHealth(() => mayWrite(database))
    const server = await createHttpsServer({
      pair: own.current(),
      host,
      port: options.port,
      // Clients on older systems speak only TLS 1.2.
      minVersion: 'TLSv1.2',
      ...(options.proxies === undefined ? {} : { proxies: options.proxies }),
      now,
      handler: routed({ acme, health, roots: () => publishedRoots(storage), log }),
      onHandlerError: onError,
      onRequest(entry, request) {
        log.request(entry, request)
        const { path, status, milliseconds } = entry
        metrics.requestAnswered({ route: routeOf(path), status, milliseconds })
      },
    })
    servers.push(server)
    server.replaceCertificate(own.current())
    closing.push(() => server.close())
    if (revocation !== null) {
      const responder = await createRevocationServer({
        storage: withRetired(storage),
        hosts: [bareHost(revocation.url)],
        proxies: options.proxies,
        now,
        host,
        port: revocation.port,
        portOption: 'revocation-port',
        onError,
      })
      closing.push(() => responder.close())
    }
    if (options.metricsPort !== null)
      closing.push(await serveMetrics(metrics, options.metricsPort, onError))
    const handler = administer({ acme, database, storage, now, log })
    const admin = await openAdminSocket(options.socket, handler, onError)
    closing.push(() => admin.close())
    const remote =
      options.admin === undefined
        ? null
        : await openAdminHttps({
            ...options.admin,
            ...(options.proxies === undefined ? {} : { proxies: options.proxies }),
            pair: own.current(),
            storage,
            handler,
            log,
            now,
            onError,
          })
    if (remote !== null) {
      servers.push(remote)
      remote.replaceCertificate(own.current())
      closing.push(() => remote.close())
    }
    return {
      urls: {
        acme: `${base}/acme/directory`,
        roots: `${base}/roots.pem`,
        revocation: revocation?.url.href ?? null,
        admin: remote === null ? null : `https://${url.hostname}:${remote.port}`,
      },
      port: server.port,
      log,
      drain: () => health.drain(),
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Returns an authority whose refusals give no hint, since the hint would be for the authority of one
 * machine, which can be given more names.
 */
function withoutHints(authority: AcmeAuthority): AcmeAuthority {
  const plain = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      if (!(error instanceof RootlingError) || error.code !== 'not-permitted') throw error
      throw new RootlingError(error.code, error.message, { cause: error })
    }
  }
  return {
    ...authority,
    check: (...args) => plain(authority.check(...args)),
    sign: (request) => plain(authority.sign(request)),
  }
}

const healthPaths = ['/healthz', '/readyz']
const plainPaths = [...healthPaths, '/roots.pem', ...adminMethods.map((method) => `/${method}`)]

function countOrders(metrics: Metrics, route: string, { status, problem, limit }: Shown): void {
  if (limit !== null) metrics.rateLimited(limit)
  else if (route === 'new-order' && status === 201) metrics.orderCreated()
  else if (route === 'finalize' && status === 200) metrics.orderIssued()
  else if (route === 'new-order' || route === 'finalize')
    metrics.orderFailed(problem ?? String(status))
}

/** Serves the metrics on loopback, and returns what ends that. */
async function serveMetrics(
  metrics: Metrics,
  port: number,
  onError: (error: unknown) => void,
): Promise<() => void> {
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    // A web page that rebinds its own name to loopback reads nothing here.
    if (request.method !== 'GET' || request.url !== '/metrics' || !isLoopbackHost(request)) {
      response.writeHead(404).end()
      return
    }
    metrics.text().then(
      (text) => response.writeHead(200, { 'Content-Type': metrics.contentType }).end(text),
      (error: unknown) => {
        onError(error)
        response.writeHead(500).end()
      },
    )
  })
  server.maxConnections = 64
  await listen(server, '127.0.0.1', port, 'metrics-port')
  return () => {
    server.close()
    server.closeAllConnections()
  }
}

/** Returns the host of a URL without the brackets of IPv6. */
const bareHost = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, '')

/** Says nothing of what a statement held. */
const textOf = (error: unknown): string =>
  error instanceof RootlingError ? `${error.code}: ${error.message}` : String(error)

/** Throws where the database answers, but only reads: a standby, or a primary that was made one. */
async function mayWrite(database: Database): Promise<void> {
  const [row] = await database.query("SELECT current_setting('transaction_read_only') AS only")
  if (row?.['only'] !== 'off') throw new Error('The database only reads.')
}

interface Parts {
  readonly acme: AcmeServer
  readonly health: ReturnType<typeof createHealth>
  /** Returns the roots, PEM. */
  readonly roots: () => Promise<string>
  readonly log: JsonLog
}

function routed({ acme, health, roots, log }: Parts): Handler {
  return async (request, response) => {
    response.setHeader('X-Request-Id', log.requestId(request))
    if (await health.handler(request, response)) return
    if (request.url !== '/roots.pem') return acme.handler(request, response)
    const pem = await roots().catch((error: unknown) => {
      if (!isOutage(error)) throw error
      return null
    })
    if (pem === null) response.writeHead(503, { 'Retry-After': retryAfterOutage }).end()
    else response.writeHead(200, { 'Content-Type': 'application/x-pem-file' }).end(pem)
  }
}

/**
 * Reads the URL of the server. Throws `usage` unless it is https, without path, query and password, and
 * of a host that can be in a certificate.
 */
export function readServerUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  const isPlain =
    url?.protocol === 'https:' && url.href === `${url.origin}/` && !isWildcardAddress(url.hostname)
  if (isPlain) return url
  throw new RootlingError('usage', `--url ${text} is not the URL of a server.`, {
    hint: '--url https://ca.team.internal, by which clients reach it: no path, and https',
  })
}

const isWildcardAddress = (host: string): boolean =>
  isIP(host.replace(/^\[|\]$/g, '')) !== 0 && /^(?:0\.0\.0\.0|\[::\])$/.test(host)
