import { askStatus } from '../../daemon/launch.ts'
import { defaultProxyPort } from '../../daemon/settings.ts'
import { isGone } from '../../files/exists.ts'
import { readRoutes } from '../../proxy/kept-routes.ts'
import { listens } from '../../proxy/listens.ts'
import { everyHost, ownerText, placeOf, urlOfRoute, type Route } from '../../proxy/routes.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { green, red, table } from '../lines.ts'
import { noteFallback } from '../proxy.ts'
import type { proxyListSpec } from '../specs/proxy.ts'

/** `rootling proxy list`: shows the routes, and whether their servers accept connections. */
export async function proxyList(
  _args: ArgumentsOf<typeof proxyListSpec>,
  { state, output }: Context,
): Promise<ExitCode> {
  const routes = (await readRoutes(state)).toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
  const status = await askStatus(state)
  const proxy = status?.proxy ?? null
  const port = proxy?.port ?? null
  const shown = await Promise.all(
    routes.map(async (route) => ({
      ...route,
      url: port === null ? null : urlOfRoute(route, port),
      listens: await listens(route.to),
    })),
  )
  output.result(
    table(
      shown.map((route) => [
        // A wildcard has no URL of its own.
        route.url === null || route.host.startsWith(everyHost) ? placeOf(route) : route.url,
        `${route.to}${route.changeOrigin ? ' (--change-origin)' : ''}`,
        fromText(route),
        route.listens ? green('listens') : red('nothing listens'),
      ]),
      output.width,
    ),
    { port, routes: shown },
  )
  if (routes.length === 0)
    output.note('The proxy has no route. To add one: rootling proxy add shop.localhost 3000')
  else if (status !== null && proxy === null)
    output.note(`The proxy is off: rootling daemon restart --proxy-port ${defaultProxyPort}`)
  else if (proxy === null)
    output.note('The proxy does not run, since the daemon does not: rootling daemon start')
  else if (port === null)
    output.note(
      `The proxy does not listen. ${[proxy.reason, proxy.hint].filter((each) => each !== null).join(' ')}`,
    )
  else noteFallback(proxy, output)
  return exitCodes.ok
}

/** The default comes last. */
const keyOf = ({ host, path }: Route): string =>
  `${host === everyHost ? '~' : host.split('.').toReversed().join('.')} ${path}`

function fromText({ owner }: Route): string {
  const gone = owner.kind === 'project' && isGone(owner.project) ? ' (gone)' : ''
  return `${ownerText(owner)}${gone}`
}
