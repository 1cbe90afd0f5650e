import type { Upstream } from '../../proxy/proxy-server.ts'
import { everyHost, routeTable, type Route } from '../../proxy/routes.ts'

/** What the server asks about routes. */
export interface Serving {
  find(host: string, path: string): Upstream | null
  readonly hosts: readonly string[]
  /** The hosts of routes that are no wildcards: anybody can invent names below those. */
  readonly expected: ReadonlySet<string>
}

/** Returns what the server asks about these routes. */
export function servingOf(routes: readonly Route[]): Serving {
  const table = routeTable(routes)
  const upstreams = new Map(
    routes.map((route): [Route, Upstream] => {
      const { host, to, changeOrigin } = route
      return [route, { app: host, origin: new URL(to), changeOrigin }]
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
