import { RootlingError } from '../../errors.ts'
import { listens } from '../../proxy/listens.ts'
import { addRoute, readRoutes, removeRoutes } from '../../proxy/kept-routes.ts'
import {
  addressOf,
  everyHost,
  isOfThisMachine,
  isSamePlace,
  parseRouteHost,
  parseRoutePath,
  parseUpstream,
  placeOf,
  urlOfRoute,
  type Route,
} from '../../proxy/routes.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { noteProxy, serveKeptRoutes, type ServingProxy } from '../proxy.ts'
import { launchOptions } from './daemon.ts'
import type { proxyAddSpec } from '../specs/proxy.ts'

type Arguments = ArgumentsOf<typeof proxyAddSpec>

/** `rootling proxy add NAME PORT`: routes a name to a local server, and starts the daemon. */
export async function proxyAdd(args: Arguments, context: Context): Promise<ExitCode> {
  const { state, output } = context
  const route: Route = {
    ...wantedOf(args),
    path: parseRoutePath(args.path ?? '/'),
    changeOrigin: args['change-origin'] === true,
    owner: { kind: 'hand' },
  }
  const before = (await readRoutes(state)).find((each) => isSamePlace(each, route))
  const change = await addRoute(state, route)
  const proxy = await serveOrUndo(route, before, context)
  const url = urlOfRoute(route, proxy.port)
  const isListening = await listens(route.to)
  output.result([url], { url, change, route, listens: isListening, port: proxy.port })
  const leads = `${placeOf(route)} leads to ${route.to}`
  output.note(change === 'unchanged' ? `${leads} already.` : `${leads} now.`)
  if (!isListening) output.note(`Nothing listens at ${route.to} yet.`)
  noteProxy(route, proxy, context)
  return exitCodes.ok
}

/** Serves the routes. Where that cannot be, they become what they were before. */
async function serveOrUndo(
  route: Route,
  before: Route | undefined,
  context: Context,
): Promise<ServingProxy> {
  const { state } = context
  try {
    const proxy = await serveKeptRoutes(launchOptions(context))
    if (!isOfThisMachine(route.to) || addressOf(route.to).port !== proxy.port) return proxy
    throw new RootlingError('usage', `${route.to} is the proxy itself.`, {
      hint: 'Name the port at which the app listens: rootling proxy add shop.localhost 3000',
    })
  } catch (error) {
    if (before === undefined) await removeRoutes(state, (each) => isSamePlace(each, route))
    else await addRoute(state, before)
    throw error
  }
}

/** Reads the name and the server from the line. Throws `usage` and `bad-name`. */
function wantedOf({
  positionals,
  default: isDefault = false,
  to,
}: Arguments): Pick<Route, 'host' | 'to'> {
  const [first, second, third] = isDefault ? [everyHost, ...positionals] : positionals
  const wanted = second ?? to
  if (first === undefined || wanted === undefined)
    throw usage(
      first === undefined
        ? 'Name the host and the port of its server.'
        : `To which server ${isDefault ? 'all other names lead' : `${first} leads`} is missing.`,
    )
  if (third !== undefined) throw usage(`${third} is one argument too many.`)
  if (second !== undefined && to !== undefined)
    throw usage(`${second} and --to ${to} contradict each other.`)
  return { host: isDefault ? everyHost : parseRouteHost(first), to: parseUpstream(wanted) }
}

const usage = (sentence: string): RootlingError =>
  new RootlingError('usage', sentence, {
    hint: 'Such as: rootling proxy add shop.localhost 3000',
  })
