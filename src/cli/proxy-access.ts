import { askStatus } from '../daemon/launch.ts'
import type { ProxyAccess } from '../project/step.ts'
import { urlOfRoute } from '../proxy/routes.ts'
import type { Context } from './context.ts'
import { noteUnresolved } from './hosts-file.ts'
import { noteFallback, serveKeptRoutes } from './proxy.ts'

/** How `up` serves the routes of a project. What starts the daemon is loaded only for that. */
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
