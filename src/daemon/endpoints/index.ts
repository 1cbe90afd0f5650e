import { RootlingError } from '../../errors.ts'
import { defaultProxyPort, onlyThisMachine } from '../settings.ts'
import type { Endpoint, EndpointOptions } from './endpoint.ts'
import type { ProxyEndpoint, ProxyOptions, ProxyStatus } from './proxy.ts'
import { startRevocation } from './revocation.ts'

interface EndpointRow {
  /** The option of `daemon start` that sets the port of this endpoint, without dashes. */
  readonly option: string
  /** The setting that holds the port; 0 turns the endpoint off. */
  readonly port: 'acmePort' | 'revocationPort'
  /** Starts the endpoint. `started` has the endpoints that were started before, in table order. */
  readonly start: (options: EndpointOptions, started: readonly Endpoint[]) => Promise<Endpoint>
}

const rows: readonly EndpointRow[] = [
  { option: 'revocation-port', port: 'revocationPort', start: startRevocation },
  {
    option: 'acme-port',
    port: 'acmePort',
    start: async (...args) => (await import('./acme.ts')).startAcme(...args),
  },
]

/** The endpoints that the daemon serves beside its control socket. */
export interface Endpoints {
  listening(): readonly { readonly what: string; readonly url: string }[]
  /** What the proxy does; `null`: it is off. */
  proxy(): ProxyStatus | null
  /** Lets the proxy read its routes again. Throws `usage` when it is off. */
  reloadProxy(): Promise<ProxyStatus>
  /** Serves the dashboard, and returns how to reach it. Throws `usage` when the proxy is off. */
  openDashboard(): ReturnType<ProxyEndpoint['openDashboard']>
  /** Makes a key for an external account binding. Throws `usage` when ACME is off. */
  createEabKey(): Promise<unknown>
  close(): Promise<void>
}

/** Starts the endpoints that the settings ask for. When one cannot listen, all are closed again. */
export async function startEndpoints(options: ProxyOptions): Promise<Endpoints> {
  const started: Endpoint[] = []
  let proxy: ProxyEndpoint | null = null
  const close = async (): Promise<void> => {
    await proxy?.close()
    for (const endpoint of started) await endpoint.close()
  }
  try {
    for (const { option, port, start } of rows)
      if (options.settings[port] !== 0) started.push(await onPort(option, start(options, started)))
    if (options.settings.proxyPort !== 0)
      proxy = await onPort('proxy-port', (await import('./proxy.ts')).startProxy(options))
  } catch (error) {
    await close()
    throw error
  }
  return {
    listening: () => [
      ...started.flatMap(({ what, url, remoteUrl }) => [
        { what, url },
        ...(remoteUrl === undefined ? [] : [{ what, url: remoteUrl }]),
      ]),
      ...proxyUrls(proxy?.status() ?? null),
    ],
    proxy: () => proxy?.status() ?? null,
    reloadProxy: async () => (proxy ?? off()).reload(),
    openDashboard: async () => (proxy ?? off()).openDashboard(),
    createEabKey: async () => {
      const [create] = started.flatMap(({ createEabKey }) => createEabKey ?? [])
      if (create !== undefined) return create()
      throw new RootlingError('usage', 'The daemon serves no ACME.', {
        hint: 'rootling daemon restart --acme-port 14600',
      })
    },
    close,
  }
}

function off(): never {
  throw new RootlingError('usage', 'The daemon runs without the proxy.', {
    hint: `rootling daemon restart --proxy-port ${defaultProxyPort}`,
  })
}

const proxyUrls = (status: ProxyStatus | null): { what: string; url: string }[] =>
  status === null || status.port === null
    ? []
    : [{ what: 'proxy', url: `https://localhost:${status.port}` }]

/**
 * Waits for an endpoint to start. When its port cannot be had, the hint of the error is the daemon's
 * own option for the port, with another one. The command that starts the daemon adds itself to it, by
 * `withCommand`.
 */
async function onPort<T>(option: string, starting: Promise<T>): Promise<T> {
  try {
    return await starting
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const hint = error.hint
      ?.replace(/^--port/, `--${option}`)
      .replace(/^--host .*/, `--acme-host ${onlyThisMachine}`)
    throw new RootlingError(error.code, error.message, { hint, cause: error })
  }
}
