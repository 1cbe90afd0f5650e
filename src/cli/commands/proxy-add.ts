import { RootlingError } from '../../errors.ts'
import { printable } from '../../printable.ts'
import { reach } from '../../proxy/listens.ts'
import { addRoute, removeRoutes } from '../../proxy/kept-routes.ts'
import {
  addressOf,
  everyHost,
  isSamePlace,
  parseRouteHost,
  parseRoutePath,
  parseUpstream,
  placeOf,
  urlOfRoute,
  wordsOf,
  type Route,
} from '../../proxy/routes.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { noteProxy, refuseOwn, serveKeptRoutes, type ServingProxy } from '../proxy.ts'
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
  const { change, before } = await addRoute(state, route)
  const proxy = await serveOrUndo(route, before, context)
  const url = urlOfRoute(route, proxy.port)
  const reached = await reach(route.to)
  const isListening = reached === 'listens'
  output.result([url], { url, change, route, listens: isListening, port: proxy.port })
  const leads = `${placeOf(route)} leads to ${route.to}`
  output.note(change === 'unchanged' ? `${leads} already.` : `${leads} now.`)
  if (reached === 'refused') output.note(`Nothing listens at ${route.to} yet.`)
  if (reached === 'nowhere')
    output.note(
      `${addressOf(route.to).host} has no address, or no DNS server answers. To name another server: rootling proxy add ${wordsOf(route)} --to http://localhost:3000`,
    )
  noteProxy(route, proxy, context)
  return exitCodes.ok
}

/** Serves the routes. Where that cannot be, they become what they were before. */
async function serveOrUndo(
  route: Route,
  before: Route | null,
  context: Context,
): Promise<ServingProxy> {
  const { state } = context
  try {
    const proxy = await serveKeptRoutes(launchOptions(context))
    await refuseOwn(route, proxy, state)
    return proxy
  } catch (error) {
    if (before === null) await removeRoutes(state, (each) => isSamePlace(each, route))
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
  if (first === undefined) throw usage('Name the host and the port of its server.')
  if (wanted === undefined) throw usage(missing(first))
  if (third !== undefined) throw usage(`${third} is one argument too many.`)
  if (second !== undefined && to !== undefined)
    throw usage(`${second} and --to ${to} contradict each other.`)
  return { host: isDefault ? everyHost : parseRouteHost(first), to: parseUpstream(wanted) }
}

/** Says what is missing where there is one word: the server of a name, or the name of a server. */
function missing(word: string): string {
  if (word === everyHost) return 'To which server all other names lead is missing.'
  const shown = printable(word)
  return /^\d+$|[:/]/.test(word)
    ? `The name that leads to ${shown} is missing.`
    : `To which server ${shown} leads is missing.`
}

const usage = (sentence: string): RootlingError =>
  new RootlingError('usage', sentence, {
    hint: 'Such as: rootling proxy add shop.localhost 3000',
  })
