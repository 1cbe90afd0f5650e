import type { TLSSocket } from 'node:tls'
import { RootlingError } from '../errors.ts'
import { foreignPage } from '../server/host-check.ts'
import { createHttpsServer, type HttpsServer } from '../server/https.ts'
import { createClientGate } from '../server/mutual-tls.ts'
import type { HttpsServerOptions } from '../server/https.ts'
import type { Storage } from '../storage/storage.ts'
import { ensureAdminScope } from './admin-certificates.ts'
import { answerAdmin, refuseAdmin, type AdminHandler } from './admin-requests.ts'
import type { Administrators } from './administrators.ts'
import type { JsonLog } from './json-log.ts'

export interface AdminHttpsOptions extends Pick<
  HttpsServerOptions,
  'pair' | 'host' | 'port' | 'proxies'
> {
  readonly storage: Storage
  readonly administrators: Administrators
  readonly handler: AdminHandler
  readonly log: JsonLog
  readonly now: () => Date
  /** Called with what the handler throws beside a RootlingError. */
  readonly onError: (error: unknown) => void
}

/** Few people administer at once. */
const limits = { connections: 64, connectionsPerAddress: 16 }

/**
 * Serves administrators over TLS 1.3: clients with a certificate of the scope for administrators, which is
 * made where there is none, that is one of those named. Whether it is revoked is read from the database at
 * each connection and at each request. Throws `port-in-use` and `listen-failed`.
 */
export async function openAdminHttps(options: AdminHttpsOptions): Promise<HttpsServer> {
  const { storage, administrators, handler, log, now, onError, ...listening } = options
  const { root, intermediate } = await ensureAdminScope(storage, now())
  const clients = createClientGate({
    ca: [root.toString()],
    intermediates: [intermediate.subject],
    revocationOf: (serialNumber) => storage.certificates.revocationOf(serialNumber),
    now,
  })
  return createHttpsServer({
    ...listening,
    portOption: 'admin-port',
    clients,
    limits,
    now,
    async handler(request, response) {
      const certificate = (request.socket as TLSSocket).getPeerX509Certificate()
      const name = certificate === undefined ? null : administrators.nameOf(certificate)
      // A page in a browser that holds the certificate would be let in by it.
      const page = foreignPage(request)
      if (name === null || page !== null) {
        const { serialNumber = '' } = certificate ?? {}
        log.event('warning', 'administrator refused', { certificate: serialNumber })
        refuseAdmin(
          response,
          403,
          page === null
            ? new RootlingError('not-trusted', 'This server does not name this administrator.', {
                hint: 'Its operator names who may administer: rootling server run --admin NAME',
              })
            : new RootlingError('usage', page),
        )
        return
      }
      const actor = `administrator ${name}`
      log.account(request, actor)
      await answerAdmin(request, response, { actor, isLocal: false }, handler).catch(onError)
    },
    onHandlerError: onError,
    onRequest: (entry, request) => log.request(entry, request),
    onConnectionError(error, address) {
      if (error instanceof RootlingError && error.code === 'not-trusted')
        log.event('warning', 'administrator refused', { error: error.message, address })
    },
  })
}
