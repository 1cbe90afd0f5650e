import { onDemandIssuer } from '../certificates/on-demand.ts'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { readRoutes } from '../proxy/kept-routes.ts'
import { createProxyServer, type Upstream } from '../proxy/proxy-server.ts'
import { everyHost, parseRouteHost, routeTable, type RouteTable } from '../proxy/routes.ts'
import { createContexts } from '../server/contexts.ts'
import type { HttpsServer } from '../server/https.ts'
import { isListenError } from '../server/listen.ts'
import type { KeyPair } from '../server/key-pair.ts'
import { answerNames, type Mdns } from '../sites/share/mdns.ts'

export interface SharedAppsOptions {
  readonly state: StateDirectory
  /** The hosts of routes of the proxy, as they were typed. */
  readonly hosts: readonly string[]
  /** The address of this machine in the network to share in. */
  readonly address: string
  /** In the order in which they are tried. */
  readonly ports: readonly number[]
  /** The certificate for `address`. */
  readonly pair: Pick<KeyPair, 'cert' | 'key'>
  readonly now: () => Date
  readonly onError: (error: unknown) => void
}

export interface SharedApps {
  /** Such as `https://shop.local:14672/`, in the order of `hosts`. */
  readonly urls: readonly string[]
  close(): Promise<void>
}

/**
 * Lets the network of an address reach some apps of the proxy, and no others, at names below .local that
 * this process answers by mDNS. Throws `usage` for a host without a route and for a name that another
 * machine has, `port-in-use` and `listen-failed`.
 */
export async function shareApps(options: SharedAppsOptions): Promise<SharedApps> {
  const { state, address, pair, now, onError } = options
  const routes = await readRoutes(state)
  const apps = namesOf(options.hosts, routeTable(routes))
  // Without wildcards and the route for every host: what they lead to is not shared.
  const hosts = new Set(apps.values())
  const table = routeTable(routes.filter(({ host }) => hosts.has(host)))
  const issue = onDemandIssuer(state, now)
  const contexts = createContexts({
    issue: async (name) => {
      if (apps.has(name)) return issue(name, true)
      throw new RootlingError('not-permitted', `${name} is not shared.`)
    },
    covers: () => false,
    isExpected: (name) => apps.has(name),
    now,
  })
  const server = await listenAtOne(options.ports, (port) =>
    createProxyServer({
      host: address,
      port,
      portOption: 'app-port',
      pair,
      contexts,
      find: (host, path) => upstreamOf(table, apps.get(host), path),
      hosts: () => [...apps.keys()],
      now,
      onError,
    }),
  )
  let mdns: Mdns
  try {
    mdns = await answerNames({ address, names: [...apps.keys()], onError })
  } catch (error) {
    await server.close({ drainMilliseconds: 0 })
    throw error
  }
  const { port } = server
  return {
    urls: [...apps.keys()].map((name) => new URL(`https://${name}:${port}/`).href),
    async close() {
      await mdns.close()
      await server.close({ drainMilliseconds: 500 })
    },
  }
}

/** The hosts of the routes by the names under which they are shared. */
function namesOf(hosts: readonly string[], table: RouteTable): ReadonlyMap<string, string> {
  const apps = new Map<string, string>()
  for (const text of hosts) {
    const host = parseRouteHost(text)
    if (!table.hosts.includes(host) || host.includes(everyHost))
      throw new RootlingError('usage', `The proxy has no app at ${host}.`, {
        hint: 'rootling proxy list',
      })
    const name = sharedName(host)
    const other = apps.get(name)
    if (other !== undefined && other !== host)
      throw new RootlingError('usage', `${other} and ${host} would both be ${name}.`, {
        hint: 'Share one of them',
      })
    apps.set(name, host)
  }
  return apps
}

/**
 * Returns the name below .local under which other devices find an app: `shop.local` for shop.localhost or
 * shop.test, and `web-shop.local` for web.shop.localhost, since many devices ask for one label alone.
 */
export function sharedName(host: string): string {
  const labels = host.split('.')
  const own = labels.length === 1 ? labels : labels.slice(0, -1)
  return `${own.join('-').slice(0, 63)}.local`
}

function upstreamOf(table: RouteTable, host: string | undefined, path: string): Upstream | null {
  const route = host === undefined ? null : table.find(host, path)
  if (route === null) return null
  // Development servers refuse hosts that they do not know, and know their own.
  return { app: route.host, origin: new URL(route.to), changeOrigin: true }
}

async function listenAtOne(
  ports: readonly number[],
  start: (port: number) => Promise<HttpsServer>,
): Promise<HttpsServer> {
  for (const [i, port] of ports.entries())
    try {
      return await start(port)
    } catch (error) {
      if (!isListenError(error) || i === ports.length - 1) throw error
    }
  throw new TypeError('There is no port to try.')
}
