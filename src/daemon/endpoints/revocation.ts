import { listenOnLoopback } from '../../server/listen.ts'
import { createRevocationServer } from '../../sites/revocation/server.ts'
import { fileStorage } from '../../storage/files/storage.ts'
import { aloneOn127, type Endpoint, type EndpointOptions } from './endpoint.ts'

export async function startRevocation({
  state,
  settings,
  now,
  log,
}: EndpointOptions): Promise<Endpoint> {
  const onError = (error: unknown): void => log(`revocation: ${String(error)}`)
  const storage = fileStorage(state)
  const servers = await listenOnLoopback(
    settings.revocationPort,
    (host, port) => createRevocationServer({ storage, now, host, port, onError }),
    () => log(aloneOn127('revocation')),
  )
  const close = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.close()))
  }
  return { what: 'revocation', url: `http://localhost:${settings.revocationPort}`, close }
}
