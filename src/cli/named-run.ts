import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { randomInt } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { appHost, appNaming } from '../project/app-name.ts'
import { addRoute, ownerOfThisProcess, removeRoutes } from '../proxy/kept-routes.ts'
import { listens } from '../proxy/listens.ts'
import { addressOf, isSameOwner, urlOfRoute, type Route } from '../proxy/routes.ts'
import { portArguments } from '../runtimes/dev-servers.ts'
import type { RunEnd } from '../runtimes/run.ts'
import { launchOptions } from './commands/daemon.ts'
import type { Context } from './context.ts'
import { noteProxy, serveKeptRoutes, type ServingProxy } from './proxy.ts'

/** The command that gets a name, and what runs it. */
export interface NamedRun {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** Runs it with these arguments, and PORT besides what else it gets. */
  readonly run: (
    args: readonly string[],
    env: Readonly<Record<string, string | undefined>>,
  ) => Promise<RunEnd>
}

/**
 * Runs a command at a free port, to which a name of the proxy leads as long as the command runs, and ends
 * as it does. Throws what `addRoute` and `serveKeptRoutes` throw, before it is run.
 */
export async function runNamed(named: NamedRun, context: Context): Promise<RunEnd> {
  const { state, cwd, env, callerEnv, output } = context
  const host = appHost(named.name, await appNaming({ cwd, env, owner: state.owner }))
  const free = await freePort()
  const { added, given } = await portArguments([named.command, ...named.args], cwd, free)
  const port = given ?? free
  const owner = ownerOfThisProcess()
  const route: Route = {
    host,
    path: '/',
    to: `http://localhost:${port}`,
    changeOrigin: false,
    owner,
  }
  await addRoute(state, route)
  const ended = new AbortController()
  try {
    const proxy = await serveKeptRoutes(launchOptions(context))
    void announce(route, proxy, { context, signal: ended.signal }).catch(() => undefined)
    return await named.run([...named.args, ...added], { ...callerEnv, PORT: String(port) })
  } finally {
    ended.abort()
    await removeRoutes(state, (each) => isSameOwner(each.owner, owner)).catch((error: unknown) =>
      output.warn(`The route of ${host} stays until the next change: ${String(error)}`),
    )
  }
}

/** How often the port is asked whether it answers. */
const askMilliseconds = 100

/** After how long a person is told that nothing listens at the port; a first build takes seconds. */
const warnMilliseconds = 10_000

/** Prints the URL as soon as the command's server answers, and what a person has to know of it. */
async function announce(
  route: Route,
  proxy: ServingProxy,
  { context, signal }: { readonly context: Context; readonly signal: AbortSignal },
): Promise<void> {
  const begun = performance.now()
  let isWarned = false
  while (!signal.aborted) {
    if (!isWarned && performance.now() - begun > warnMilliseconds) {
      isWarned = true
      const { port } = addressOf(route.to)
      context.output.warn(
        `Nothing listens at port ${port} yet, which the command was given by the variable PORT. A server that does not read it needs that port by an option of its own, or a route to its own port: rootling proxy add NAME PORT. Once it listens: ${urlOfRoute(route, proxy.port)}`,
      )
    }
    if (await listens(route.to)) {
      if (signal.aborted) return
      context.output.note(`${urlOfRoute(route, proxy.port)} leads to ${route.to} now.`)
      noteProxy(route, proxy, context)
      return
    }
    await sleep(askMilliseconds, undefined, { ref: false, signal }).catch(() => undefined)
  }
}

/** The ports that commands get: below those that systems choose for outgoing connections. */
const [lowest, highest] = [4_000, 4_999]

/** Returns a port that is free on every address, as a dev server may listen on any. Throws `port-in-use`. */
async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = randomInt(lowest, highest + 1)
    if ((await isFree(port, '127.0.0.1')) && (await isFree(port, '::')) && !(await isServed(port)))
      return port
  }
  throw new RootlingError('port-in-use', `No port from ${lowest} to ${highest} seems to be free.`)
}

/** A server on one address does not keep another from the same port on a further one. */
const isServed = (port: number): Promise<boolean> => listens(`http://localhost:${port}`)

async function isFree(port: number, host: string): Promise<boolean> {
  const server = createServer()
  try {
    const listening = once(server, 'listening')
    server.listen({ port, host, exclusive: true })
    await listening
    return true
  } catch (error) {
    // A machine without IPv6 has no such address.
    const { code = '' } = error as NodeJS.ErrnoException
    return code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT'
  } finally {
    server.close()
  }
}
