import { createAcmeAuthority } from '../../acme/acme-authority.ts'
import { createAcmeServer } from '../../acme/server.ts'
import { keptCertificate } from '../../certificates/kept.ts'
import { createHttpsServer, type HttpsServer } from '../../server/https.ts'
import { loadKeyPair } from '../../server/key-pair.ts'
import { listenOnLoopback } from '../../server/listen.ts'
import { renewingPair } from '../../server/renewing.ts'
import { stampOfScopes } from '../../storage/files/scopes.ts'
import { aloneOn127, type EndpointOptions } from './endpoint.ts'

/** ACME on loopback, over a certificate of our own that renews itself. */
export async function startAcmeEndpoint(
  { state, settings, now, log }: EndpointOptions,
  revocationUrl: string | undefined,
): Promise<{
  what: string
  url: string
  createEabKey(): Promise<unknown>
  close(): Promise<void>
}> {
  const names = ['localhost', '127.0.0.1', '::1']
  let servers: readonly HttpsServer[] = []
  const source = await renewingPair({
    issue: async () => {
      const { cert, key } = await keptCertificate(state, names, { days: 90 }, now())
      return loadKeyPair(cert, key, now())
    },
    issuersStamp: () => stampOfScopes(state),
    checkMilliseconds: 1_000,
    now,
    onRenewed: (pair) => servers.forEach((server) => server.replaceCertificate(pair)),
    onFailed: (error) => log(`ACME's own certificate: ${String(error)}`),
  })
  const { dnsResolver, http01Port, tlsAlpn01Port, allowRemote, eabRequired } = settings
  const acme = await createAcmeServer({
    state,
    baseUrl: `https://localhost:${settings.acmePort}/acme`,
    now,
    authority: createAcmeAuthority({ state, now, revocationUrl }),
    onError: (error) => log(`ACME: ${String(error)}`),
    options: {
      http01Port,
      tlsAlpn01Port,
      allowRemote,
      eabRequired,
      dnsResolver: dnsResolver ?? undefined,
    },
  })
  servers = await listenOnLoopback(
    (host) =>
      createHttpsServer({
        pair: source.current(),
        host,
        port: settings.acmePort,
        handler: acme.handler,
        // Clients of older systems speak only 1.2.
        minVersion: 'TLSv1.2',
        now,
        onHandlerError: (error) => log(`ACME: ${String(error)}`),
      }),
    () => log(aloneOn127('ACME')),
  )
  return {
    what: 'ACME',
    url: `https://localhost:${settings.acmePort}/acme/directory`,
    createEabKey: () => acme.createEabKey(),
    close: async () => {
      source.stop()
      await Promise.all(servers.map((server) => server.close()))
      await acme.close()
    },
  }
}
