import { createAcmeAuthority } from '../../acme/acme-authority.ts'
import { createAcmeServer } from '../../acme/server.ts'
import { openSecuredSite } from '../../sites/secured-site.ts'
import { findSocketOwners } from './socket-owners.ts'
import { aloneOn127, type Endpoint, type EndpointOptions } from './endpoint.ts'

/** Serves ACME on loopback, with a certificate of this authority that is renewed in time. */
export async function startAcme(
  { state, settings, now, log }: EndpointOptions,
  started: readonly Endpoint[],
): Promise<Endpoint> {
  const { acmePort, dnsResolver, http01Port, tlsAlpn01Port, allowRemote, eabRequired } = settings
  const baseUrl = `https://localhost:${acmePort}/acme`
  const revocationUrl = started.find(({ what }) => what === 'revocation')?.url
  const onError = (error: unknown): void => log(`ACME: ${String(error)}`)
  const acme = await createAcmeServer({
    state,
    baseUrl,
    now,
    authority: createAcmeAuthority({ state, now, revocationUrl }),
    owners: await findSocketOwners(state),
    onError,
    options: {
      http01Port,
      tlsAlpn01Port,
      allowRemote,
      eabRequired,
      dnsResolver: dnsResolver ?? undefined,
    },
  })
  try {
    const site = await openSecuredSite({
      state,
      handler: acme.handler,
      port: acmePort,
      // Clients on older systems speak only TLS 1.2.
      minVersion: 'TLSv1.2',
      days: 90,
      now,
      onRenewalFailed: (error) => log(`ACME's own certificate: ${String(error)}`),
      onHandlerError: onError,
      onAlone: () => log(aloneOn127('ACME')),
    })
    return {
      what: 'ACME',
      url: `${baseUrl}/directory`,
      createEabKey: () => acme.createEabKey(),
      close: async () => {
        await site.close()
        await acme.close()
      },
    }
  } catch (error) {
    await acme.close()
    throw error
  }
}
