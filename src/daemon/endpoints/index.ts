import { RootlingError } from '../../errors.ts'
import type { Endpoint, EndpointOptions } from './endpoint.ts'
import { startRevocation } from './revocation.ts'

/** What the daemon listens on beside its control socket; loopback only. */
export interface Endpoints {
  readonly listening: readonly { readonly what: string; readonly url: string }[]
  /** An external account binding's key. Throws `usage` when ACME is off. */
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
    const { acmePort, revocationPort } = options.settings
    const revocation =
      revocationPort === 0 ? null : await onPort('revocation-port', startRevocation(options))
    if (revocation !== null) started.push(revocation)
    const acme =
      acmePort === 0 ? null : await onPort('acme-port', startAcme(options, revocation?.url))
    if (acme !== null) started.push(acme)
    return {
      listening: started.map(({ what, url }) => ({ what, url })),
      createEabKey: async () => {
        if (acme !== null) return acme.createEabKey()
        throw new RootlingError('usage', 'The daemon serves no ACME.', {
          hint: 'rootling daemon restart --acme-port 14600',
        })
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** A port that cannot be had: the hint names the daemon's own option for it. */
async function onPort<T>(option: string, starting: Promise<T>): Promise<T> {
  try {
    return await starting
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const hint = error.hint?.replace(/^--port/, `rootling daemon start --${option}`)
    throw new RootlingError(error.code, error.message, { hint, cause: error })
  }
}

async function startAcme(
  options: EndpointOptions,
  revocationUrl: string | undefined,
): Promise<Endpoint & { createEabKey(): Promise<unknown> }> {
  const { startAcmeEndpoint } = await import('./acme.ts')
  return startAcmeEndpoint(options, revocationUrl)
}
