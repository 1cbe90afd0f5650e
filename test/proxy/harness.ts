import { onTestFinished } from 'vitest'
import { createProxyServer } from '../../src/proxy/proxy-server.ts'
import type { ProxyEntry, ProxyServerOptions, Upstream } from '../../src/proxy/proxy-server.ts'
import { ephemeralAuthority } from '../../src/ephemeral/index.ts'
import { startApp, type App } from './app.ts'
import type { Target } from './clients.ts'

let made: ReturnType<typeof make> | undefined
async function make() {
  const authority = await ephemeralAuthority()
  return {
    authority,
    pair: await authority.certificate(['app.localhost', 'localhost', '127.0.0.1']),
  }
}

/** An authority, and a certificate of it for `app.localhost`, made once in each test file. */
export const authority = (): ReturnType<typeof make> => (made ??= make())

export interface Running extends Target {
  readonly entries: ProxyEntry[]
  readonly errors: unknown[]
}

/** Starts the proxy with routes by host; a text is the origin of an upstream. */
export async function startProxy(
  routes: Readonly<Record<string, string | Partial<Upstream>>>,
  options: Partial<ProxyServerOptions> = {},
): Promise<Running> {
  const { authority: ca, pair } = await authority()
  const entries: ProxyEntry[] = []
  const errors: unknown[] = []
  const server = await createProxyServer({
    host: '127.0.0.1',
    port: 0,
    pair,
    find(host) {
      const route = routes[host]
      if (route === undefined) return null
      if (typeof route === 'string') return { app: host, origin: new URL(route) }
      return { app: host, origin: new URL('http://127.0.0.1'), ...route }
    },
    hosts: () => Object.keys(routes),
    now: () => new Date(),
    onRequest: (entry) => entries.push(entry),
    onError: (error) => errors.push(error),
    ...options,
  })
  onTestFinished(() => server.close({ drainMilliseconds: 0 }))
  return { port: server.port, ca: ca.root, host: 'app.localhost', entries, errors }
}

/** Starts an app, and the proxy with the route `app.localhost` to it. */
export async function startBoth(
  options: Partial<ProxyServerOptions> = {},
): Promise<{ app: App; target: Running }> {
  const app = await startApp()
  onTestFinished(() => app.close())
  const target = await startProxy({ 'app.localhost': `http://127.0.0.1:${app.port}` }, options)
  return { app, target }
}
