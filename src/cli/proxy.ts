import { connect } from 'node:net'
import type { ProxyStatus } from '../daemon/endpoints/proxy.ts'
import { askStatus, serveRoutes, type LaunchOptions } from '../daemon/launch.ts'
import { RootlingError } from '../errors.ts'
import type { ProxyAccess } from '../project/step.ts'
import { addressOf, everyHost, type Route } from '../proxy/routes.ts'
import type { Context } from './context.ts'
import { noteUnresolved } from './hosts-file.ts'

/** A proxy that listens. */
export type ServingProxy = ProxyStatus & { readonly port: number }

/**
 * Lets the daemon serve the kept routes, and returns at which port. Throws what `serveRoutes` throws,
 * and `listen-failed` where it cannot listen.
 */
export async function serveKeptRoutes(launch: LaunchOptions): Promise<ServingProxy> {
  const status = await serveRoutes(launch)
  const { port, reason, hint } = status
  if (port !== null) return { ...status, port }
  throw new RootlingError('listen-failed', reason ?? 'The proxy does not listen.', {
    hint: hint ?? 'rootling daemon logs shows why',
  })
}

/** How `up` serves routes. What serves them is loaded only where the file has some. */
export const proxyAccess = (context: Context): ProxyAccess => ({
  isServing: async () => (await askStatus(context.state))?.proxy?.port != null,
  serve: async (routes) => {
    const { launchOptions } = await import('./commands/daemon.ts')
    const proxy = await serveKeptRoutes(launchOptions(context))
    noteFallback(proxy, context.output)
    const names = routes.map(({ host }) => host).filter((host) => !host.startsWith('*'))
    noteUnresolved(names, context.env, context.output)
    return routes.map((route) => urlOfRoute(route, proxy.port))
  },
})

/** The URL of a route; a wildcard has `any` as an example, and the route for every host localhost. */
export function urlOfRoute({ host, path }: Pick<Route, 'host' | 'path'>, port: number): string {
  const name = host === everyHost ? 'localhost' : host.replace(/^\*/, 'any')
  return `https://${name}${port === 443 ? '' : `:${port}`}${path}`
}

/** Says what a person has to know of the proxy and of the name of a route. */
export function noteProxy(
  { host }: Pick<Route, 'host'>,
  proxy: ServingProxy,
  { env, output }: Pick<Context, 'env' | 'output'>,
): void {
  noteFallback(proxy, output)
  if (!host.startsWith('*')) noteUnresolved([host], env, output)
}

/** Says why the proxy listens at another port than 443, and what to type. */
export function noteFallback({ port, reason, hint }: ProxyStatus, output: Context['output']): void {
  if (port === null || reason === null) return
  const todo = hint === null ? '' : ` To have it at 443: ${hint}`
  output.note(`The proxy listens at ${port}. ${reason}${todo}`)
}

/** How long a server of this machine may take to accept a connection. */
const patienceMilliseconds = 1_000

/** Whether a server accepts connections; `localhost` is tried at both its addresses. */
export async function listens(to: string): Promise<boolean> {
  const { host, port } = addressOf(to)
  const isLocal = host === 'localhost' || host.endsWith('.localhost')
  const hosts = isLocal ? ['127.0.0.1', '::1'] : [host]
  const answers = await Promise.all(hosts.map((each) => accepts(each, port)))
  return answers.includes(true)
}

const accepts = (host: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host, port })
    const end = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(patienceMilliseconds, () => end(false))
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
