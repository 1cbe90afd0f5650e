import { readScopes } from '../../authority/scope.ts'
import { keptCertificate } from '../../certificates/kept.ts'
import { onDemandIssuer } from '../../certificates/on-demand.ts'
import { revokedIn } from '../../certificates/revoked-in.ts'
import { RootlingError } from '../../errors.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { isLive, readRoutes, stampOfRoutes } from '../../proxy/kept-routes.ts'
import { createProxyServer, type Upstream } from '../../proxy/proxy-server.ts'
import type { ProxyEntry } from '../../proxy/log.ts'
import {
  fixOf,
  wordsOf,
  dashboardHost,
  everyHost,
  routeTable,
  type Route,
} from '../../proxy/routes.ts'

import { createContexts } from '../../server/contexts.ts'
import type { HttpsServer } from '../../server/https.ts'
import { loadKeyPair, type KeyPair } from '../../server/key-pair.ts'
import { isListenError, listenOnLoopback } from '../../server/listen.ts'
import { renewingPair } from '../../server/renewing.ts'
import { loopbackNames } from '../../sites/own-addresses.ts'
import { stampOfScopes } from '../../storage/files/scopes.ts'
import { defaultProxyPort } from '../settings.ts'
import type { PortSocket } from '../service/ports-units.ts'
import type { CommandLine, DashboardEndpoint, DashboardEndpointOptions } from './dashboard.ts'
import { createRecentRequests } from './recent-requests.ts'
import { aloneOn127, type EndpointOptions } from './endpoint.ts'
import { startHttpsRedirect, type HttpsRedirect } from './https-redirect.ts'

/** What `daemon status` says of the proxy. */
export interface ProxyStatus {
  /** `null`: it does not listen. */
  readonly port: number | null
  /** Why it does not listen at the port that it should, or not at all; `null`: there is nothing to say. */
  readonly reason: string | null
  readonly hint: string | null
  readonly routes: number
  /** Where plain HTTP is redirected from; `null`: nowhere. Absent: the daemon is of an older release. */
  readonly redirectPort?: number | null
}

export interface ProxyEndpoint {
  status(): ProxyStatus
  /** Reads the routes again, and listens if there are any. */
  reload(): Promise<ProxyStatus>
  /** Serves the dashboard from now on, and returns how to reach it. */
  openDashboard(): Promise<{ readonly status: ProxyStatus; readonly token: string }>
  close(): Promise<void>
}

export interface ProxyOptions extends EndpointOptions, Pick<DashboardEndpointOptions, 'env'> {
  /** How the dashboard runs commands; absent: there is none. */
  readonly command?: CommandLine | undefined
  /** What `daemon status` says, for the dashboard. */
  readonly daemonStatus: () => object
}

/** The ports of the proxy; tests have others. */
export interface ProxyPorts {
  /** In the order in which they are tried. */
  readonly https: readonly number[]
  /** Where plain HTTP is redirected from, if it can be had; `null`: nowhere. */
  readonly http: number | null
  /** Whether it listens without a route, and whether a failure ends the start. */
  readonly isGiven: boolean
}

/** Where the proxy listens when it may not listen at 443, or another program does. */
const fallbackPort = 14_443

/** The ports for the value of `--proxy-port`. */
export const portsFor = (setting: number): ProxyPorts =>
  setting === defaultProxyPort
    ? { https: [defaultProxyPort, fallbackPort], http: 80, isGiven: false }
    : { https: [setting], http: null, isGiven: true }

/** The time between two looks at the file of the routes, and at the commands that some belong to. */
const checkMilliseconds = 1_000
/** The time between two tries to listen. */
const retryMilliseconds = 30_000

/** What listens. */
interface Open {
  readonly port: number
  readonly redirectPort: number | null
  close(): Promise<void>
}

/**
 * Serves the kept routes on both loopback addresses, as soon as there are any. Each name gets its
 * certificate when a client first asks for it. Throws `port-in-use` and `listen-failed` where the port
 * was given; else the status tells.
 */
export async function startProxy(
  options: ProxyOptions,
  ports: ProxyPorts = portsFor(options.settings.proxyPort),
): Promise<ProxyEndpoint> {
  const { state, log } = options
  // systemd listens there already, so that clients wait for an answer whether there are routes or not.
  const isHanded = socketsFor('rootling-https', options).length > 0
  let routes: readonly Route[] = []
  let serving = withDashboard(servingOf([]), undefined)
  let stamp = ''
  let open: Open | null = null
  let problem: Problem | null = null
  let damage: Problem | null = null
  let lastTry = -Infinity
  let closed = false
  let dashboard: DashboardEndpoint | null = null
  const requests = createRecentRequests()
  let last: Promise<unknown> = Promise.resolve()

  /** Runs one change after the other. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = last.then(work)
    last = turn.catch(() => undefined)
    return turn
  }

  async function readAgain(): Promise<void> {
    stamp = await stampOfRoutes(state)
    try {
      routes = await readRoutes(state)
      damage = null
    } catch (error) {
      // The routes stay as they were.
      damage = problemOf(error)
      log(`proxy: ${damage.reason}`)
    }
    serving = withDashboard(servingOf(routes), dashboard?.upstream)
  }

  async function listenIfNeeded(): Promise<void> {
    const isNeeded = isHanded || ports.isGiven || routes.length > 0 || dashboard !== null
    if (isNeeded === (open !== null)) return
    if (!isNeeded) {
      await open?.close()
      open = null
      problem = null
      return
    }
    lastTry = performance.now()
    const onRequest = (entry: ProxyEntry): void => {
      if (entry.app !== dashboardHost) requests.note(entry)
    }
    const found = await openAtOne({ ...options, serving: () => serving, onRequest }, ports)
    open = found.open
    problem = found.problem
    log(
      open === null
        ? `proxy: ${problem?.reason}`
        : `proxy: https://localhost:${open.port}${problem === null ? '' : ` (${problem.reason})`}`,
    )
  }

  async function update(): Promise<void> {
    if (closed) return
    await readAgain()
    await listenIfNeeded()
  }

  async function check(): Promise<void> {
    const isStale = (await stampOfRoutes(state)) !== stamp || !routes.every(isLive)
    const isWaiting = open === null && (ports.isGiven || routes.length > 0 || dashboard !== null)
    if (isStale || (isWaiting && performance.now() - lastTry > retryMilliseconds)) await update()
  }

  const status = (): ProxyStatus => ({
    port: open?.port ?? null,
    reason: (damage ?? problem)?.reason ?? null,
    hint: (damage ?? problem)?.hint ?? null,
    routes: routes.length,
    redirectPort: open?.redirectPort ?? null,
  })

  await inTurn(update).catch((error: unknown) => {
    if (ports.isGiven) throw error
    problem = problemOf(error)
    log(`proxy: ${problem.reason}`)
  })
  // What a person asked for in so many words is there, or the daemon does not start.
  if (ports.isGiven && open === null) throw cause(problem)
  let complaint = ''
  const timer = setInterval(() => {
    void inTurn(check).then(
      () => (complaint = ''),
      (error: unknown) => {
        const said = `proxy: ${messageOf(error)}`
        // The same error is logged once, and not every second.
        if (said !== complaint) log(said)
        complaint = said
      },
    )
  }, checkMilliseconds)
  timer.unref()
  return {
    status,
    reload: async () => {
      await inTurn(update)
      return status()
    },
    openDashboard: async () => {
      const { command } = options
      if (command === undefined) throw new TypeError('The daemon was given no command to run.')
      const { createDashboardEndpoint } = await import('./dashboard.ts')
      dashboard ??= createDashboardEndpoint({
        ...options,
        command,
        status: options.daemonStatus,
        routes: () => routes,
        requests,
        port: () => open?.port ?? defaultProxyPort,
      })
      await inTurn(update)
      return { status: status(), token: dashboard.token }
    },
    close: async () => {
      clearInterval(timer)
      closed = true
      dashboard?.close()
      await inTurn(async () => {
        await open?.close()
        open = null
      })
    },
  }
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error)

/** Why something is not as it should be, and what to type. */
interface Problem {
  readonly reason: string
  readonly hint: string | null
  readonly error: unknown
}

const problemOf = (error: unknown): Problem => ({
  reason: messageOf(error),
  hint: error instanceof RootlingError ? (error.hint ?? null) : null,
  error,
})

const cause = (problem: Problem | null): unknown =>
  problem?.error ?? new RootlingError('listen-failed', 'The proxy cannot listen.')

/** What the server asks about routes. */
interface Serving {
  find(host: string, path: string): Upstream | null
  readonly hosts: readonly string[]
  /** The hosts of routes that are no wildcards: anybody can invent names below those. */
  readonly expected: ReadonlySet<string>
}

function servingOf(routes: readonly Route[]): Serving {
  const table = routeTable(routes)
  const upstreams = new Map(
    routes.map((route): [Route, Upstream] => {
      const { host, to, changeOrigin } = route
      const fix = fixOf(route)
      const words = { place: wordsOf(route), ...(fix === undefined ? {} : { fix }) }
      return [route, { app: host, origin: new URL(to), changeOrigin, ...words }]
    }),
  )
  return {
    find(host, path) {
      const route = table.find(host, path)
      const upstream = route === null ? undefined : upstreams.get(route)
      if (upstream === undefined) return null
      return upstream.app === everyHost ? { ...upstream, app: host } : upstream
    },
    hosts: table.hosts,
    expected: new Set(table.hosts.filter((host) => !host.startsWith('*'))),
  }
}

/**
 * Also answers for the host of the dashboard. Before it is open, no route answers there either, such as
 * one for every name: its app could leave a service worker, which would see the token later.
 */
function withDashboard(serving: Serving, dashboard: Upstream | undefined): Serving {
  return {
    ...serving,
    find: (host, path) => (host === dashboardHost ? (dashboard ?? null) : serving.find(host, path)),
    expected: new Set([...serving.expected, dashboardHost]),
  }
}

interface OpenOptions extends EndpointOptions {
  readonly serving: () => Serving
  readonly onRequest: (entry: ProxyEntry) => void
}

/** Listens at the first of the ports that can be had. */
async function openAtOne(
  options: OpenOptions,
  { https, http }: ProxyPorts,
): Promise<{
  readonly open: Open | null
  readonly problem: Problem | null
}> {
  const problems: Problem[] = []
  const isHanded = socketsFor('rootling-https', options).length > 0
  for (const port of isHanded ? [defaultProxyPort] : https)
    try {
      const open = await openAt(options, port, http)
      const [first = null] = problems
      return { open, problem: first === null ? null : { ...first, hint: hintFor(first) } }
    } catch (error) {
      if (!isListenError(error)) throw error
      problems.push(problemOf(error))
    }
  const reason = [...new Set(problems.map((each) => each.reason))].join(' ')
  const hint = https.length > 1 ? 'rootling daemon restart --proxy-port 8443' : null
  return { open: null, problem: { reason, hint, error: problems.at(-1)?.error } }
}

/** Returns what lets the proxy listen at 443 where it may not, or another program does. */
const hintFor = ({ error }: Problem): string =>
  error instanceof RootlingError && error.code === 'port-in-use'
    ? 'End that program, then: rootling daemon restart'
    : 'rootling daemon install --ports'

async function openAt(options: OpenOptions, port: number, httpPort: number | null): Promise<Open> {
  const { state, now, log, serving, onRequest } = options
  const servers: HttpsServer[] = []
  let roots: readonly string[] = []
  const readRoots = async (): Promise<void> => {
    // While they cannot be read, the earlier ones stay.
    roots = await rootsOf(state).catch(() => roots)
  }
  await readRoots()
  const load = async (): Promise<KeyPair> => {
    const { cert, key } = await keptCertificate(state, [...loopbackNames], {}, now())
    return loadKeyPair(cert, key, now(), { roots: await rootsOf(state) })
  }
  const source = await renewingPair({
    issue: load,
    issuersStamp: () => stampOfScopes(state),
    isRevoked: revokedIn(state),
    checkMilliseconds,
    now,
    onRenewed: (pair) => {
      servers.forEach((server) => server.replaceCertificate(pair))
      void readRoots()
    },
    onFailed: (error) => log(`the proxy's own certificate: ${messageOf(error)}`),
  })
  try {
    const refusals = createRefusals(log)
    const issueAnew = onDemandIssuer(state, now)
    const contexts = createContexts({
      // The names of routes are few and come again with the next daemon, so theirs are kept.
      issue: (name, brief) =>
        serving().expected.has(name)
          ? keptCertificate(state, [name], {}, now())
          : issueAnew(name, brief),
      isRevoked: revokedIn(state),
      covers: (name) => source.current().leaf.checkHost(name) !== undefined,
      isExpected: (name) => serving().expected.has(name),
      now,
      onRefused: refusals,
    })
    const listening = await listenOnAll(
      'rootling-https',
      port,
      options,
      async (host, chosen, descriptor) => {
        const current = source.current()
        const server = await createProxyServer({
          host,
          port: chosen,
          descriptor,
          pair: current,
          contexts,
          find: (...asked) => serving().find(...asked),
          hosts: () => serving().hosts,
          roots: () => roots,
          now,
          onRequest,
          onError: (error) => log(`proxy: ${messageOf(error)}`),
        })
        servers.push(server)
        // A renewal while the server began to listen did not reach it.
        if (source.current() !== current) server.replaceCertificate(source.current())
        return server
      },
      () => log(aloneOn127('the proxy')),
    )
    const taken = listening[0].port
    const redirects = httpPort === null ? [] : await openRedirects(httpPort, taken, options)
    return {
      port: taken,
      redirectPort: redirects[0]?.port ?? null,
      close: async () => {
        source.stop()
        await Promise.all([...servers, ...redirects].map((server) => server.close()))
      },
    }
  } catch (error) {
    source.stop()
    await Promise.all(servers.map((server) => server.close({ drainMilliseconds: 0 })))
    throw error
  }
}

/** Returns the sockets that a service manager bound for a port of the proxy. */
const socketsFor = (
  name: PortSocket['name'],
  { inherited }: Pick<EndpointOptions, 'inherited'>,
): readonly number[] => inherited?.get(name) ?? []

/**
 * Starts a server on each socket that a service manager bound for this port; where there is none, on
 * both loopback addresses, as `listenOnLoopback` does.
 */
async function listenOnAll<T extends { readonly port: number; close(): Promise<void> }>(
  name: PortSocket['name'],
  port: number,
  options: Pick<EndpointOptions, 'inherited'>,
  start: (host: string, port: number, descriptor?: number) => Promise<T>,
  onAlone: () => void,
): Promise<readonly [T, ...T[]]> {
  const [first, ...others] = socketsFor(name, options)
  if (first === undefined) return listenOnLoopback(port, start, onAlone)
  const servers: [T, ...T[]] = [await start('127.0.0.1', port, first)]
  for (const descriptor of others) servers.push(await start('127.0.0.1', port, descriptor))
  return servers
}

const rootsOf = async (state: StateDirectory): Promise<string[]> =>
  (await readScopes(state)).map(({ root }) => root.toString())

/** Redirects plain HTTP where that port can be had; the proxy does without it. */
async function openRedirects(
  port: number,
  httpsPort: number,
  options: OpenOptions,
): Promise<readonly HttpsRedirect[]> {
  try {
    return await listenOnAll(
      'rootling-http',
      port,
      options,
      (host, chosen, descriptor) => startHttpsRedirect(host, chosen, httpsPort, descriptor),
      () => undefined,
    )
  } catch {
    return []
  }
}

/** The most names without a certificate that are logged until the daemon is restarted. */
const mostRefusals = 100

/** Logs each name that gets no certificate once. */
function createRefusals(log: (line: string) => void): (name: string, error: unknown) => void {
  const told = new Set<string>()
  return (name, error) => {
    if (told.has(name) || told.size >= mostRefusals) return
    told.add(name)
    log(`proxy: no certificate for ${name}: ${messageOf(error)}`)
  }
}
