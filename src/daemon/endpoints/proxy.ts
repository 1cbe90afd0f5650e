import { RootlingError } from '../../errors.ts'
import { isLive, readRoutes, stampOfRoutes } from '../../proxy/kept-routes.ts'
import type { Route } from '../../proxy/routes.ts'
import type { EndpointOptions } from './endpoint.ts'
import { messageOf, portsFor, problemOf, type Problem, type ProxyPorts } from './proxy-ports.ts'
import type { OpenProxy } from './proxy-servers.ts'
import { servingOf } from './proxy-serving.ts'

/** What `daemon status` says of the proxy. */
export interface ProxyStatus {
  /** `null`: it does not listen. */
  readonly port: number | null
  /** Why it does not listen at the port that it should, or not at all; `null`: there is nothing to say. */
  readonly reason: string | null
  readonly hint: string | null
  readonly routes: number
}

export interface ProxyEndpoint {
  status(): ProxyStatus
  /** Reads the routes again, and listens if there are any. */
  reload(): Promise<ProxyStatus>
  close(): Promise<void>
}

/** The time between two looks at the file of the routes, and at the commands that some belong to. */
const checkMilliseconds = 1_000
/** The time between two tries to listen. */
const retryMilliseconds = 30_000

/**
 * Serves the kept routes on both loopback addresses, as soon as there are any. Each name gets its
 * certificate when a client first asks for it. Throws `port-in-use` and `listen-failed` where the port
 * was given; else the status tells.
 */
export async function startProxy(
  options: EndpointOptions,
  ports: ProxyPorts = portsFor(options.settings.proxyPort),
): Promise<ProxyEndpoint> {
  const { state, log } = options
  let routes: readonly Route[] = []
  let serving = servingOf([])
  let stamp = ''
  let open: OpenProxy | null = null
  let problem: Problem | null = null
  let damage: Problem | null = null
  let lastTry = -Infinity
  let closed = false
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
    serving = servingOf(routes)
  }

  async function listenIfNeeded(): Promise<void> {
    const isNeeded = ports.isGiven || routes.length > 0
    if (isNeeded === (open !== null)) return
    if (!isNeeded) {
      await open?.close()
      open = null
      problem = null
      return
    }
    lastTry = performance.now()
    // Few daemons have routes, and only they need these modules.
    const { openProxy } = await import('./proxy-servers.ts')
    const found = await openProxy({ ...options, serving: () => serving }, ports)
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
    const isWaiting = open === null && (ports.isGiven || routes.length > 0)
    if (isStale || (isWaiting && performance.now() - lastTry > retryMilliseconds)) await update()
  }

  const status = (): ProxyStatus => ({
    port: open?.port ?? null,
    reason: (damage ?? problem)?.reason ?? null,
    hint: (damage ?? problem)?.hint ?? null,
    routes: routes.length,
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
    close: async () => {
      clearInterval(timer)
      closed = true
      await inTurn(async () => {
        await open?.close()
        open = null
      })
    },
  }
}

const cause = (problem: Problem | null): unknown =>
  problem?.error ?? new RootlingError('listen-failed', 'The proxy cannot listen.')
