import type { ProxyStatus } from '../daemon/endpoints/proxy.ts'
import { askStatus, serveRoutes, type LaunchOptions } from '../daemon/launch.ts'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { addressOf, isOfThisMachine, type Route } from '../proxy/routes.ts'
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
    hint: hint ?? 'To see why: rootling daemon logs',
  })
}

/** Throws `usage` for a route to what the daemon itself serves, of which the proxy would make a circle. */
export async function refuseOwn(
  { to }: Route,
  { port, redirectPort }: ServingProxy,
  state: StateDirectory,
): Promise<void> {
  if (!isOfThisMachine(to)) return
  const { listening = [] } = (await askStatus(state)) ?? {}
  const acme = listening.filter(({ what }) => what === 'ACME').map(({ url }) => addressOf(url).port)
  const own = new Map([
    [redirectPort ?? 0, 'where the proxy itself redirects http to https'],
    ...acme.map((each): [number, string] => [each, 'the daemon’s ACME server, which has a name']),
    [port, 'the proxy itself'],
  ])
  const what = own.get(addressOf(to).port)
  if (what === undefined) return
  throw new RootlingError('usage', `${to} is ${what}.`, {
    hint: 'Name the port at which the app listens: rootling proxy add shop.localhost 3000',
  })
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
  const isCommand = hint?.startsWith('rootling ') === true
  const todo = hint === null ? '' : ` ${isCommand ? 'To have it at 443: ' : ''}${hint}`
  output.note(`The proxy listens at ${port}. ${reason}${todo}`)
}
