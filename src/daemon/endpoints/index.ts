import { RootlingError } from '../../errors.ts'
import type { Endpoint, EndpointOptions } from './endpoint.ts'
import { startRevocation } from './revocation.ts'

interface EndpointRow {
  /** The option of `daemon start` that sets its port, without dashes. */
  readonly option: string
  /** Where the settings hold that port; 0 there turns the endpoint off. */
  readonly port: 'acmePort' | 'revocationPort'
  /** May look at those that were started before it, in the order of the table. */
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

/** What the daemon listens on beside its control socket; loopback only. */
export interface Endpoints {
  readonly listening: readonly { readonly what: string; readonly url: string }[]
  /** Makes a key for an external account binding. Throws `usage` when ACME is off. */
  createEabKey(): Promise<unknown>
  close(): Promise<void>
}

/** Starts what the settings ask for; when one cannot listen, none is left behind. */
export async function startEndpoints(options: EndpointOptions): Promise<Endpoints> {
  const started: Endpoint[] = []
  const close = async (): Promise<void> => {
    for (const endpoint of started) await endpoint.close()
  }
  try {
    for (const { option, port, start } of rows)
      if (options.settings[port] !== 0) started.push(await onPort(option, start(options, started)))
  } catch (error) {
    await close()
    throw error
  }
  return {
    listening: started.map(({ what, url }) => ({ what, url })),
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

/** When the port cannot be had, the hint names the daemon's own option for it. */
async function onPort<T>(option: string, starting: Promise<T>): Promise<T> {
  try {
    return await starting
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const hint = error.hint?.replace(/^--port/, `rootling daemon start --${option}`)
    throw new RootlingError(error.code, error.message, { hint, cause: error })
  }
}
