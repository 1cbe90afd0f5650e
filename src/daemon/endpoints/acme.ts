import { isIP } from 'node:net'
import { createAcmeAuthority } from '../../acme/acme-authority.ts'
import { createAcmeServer } from '../../acme/server.ts'
import { hostPort } from '../../server/listen.ts'
import { loopbackNames } from '../../sites/own-addresses.ts'
import { openSecuredSite } from '../../sites/secured-site.ts'
import { onlyThisMachine } from '../settings.ts'
import { findSocketOwners } from './socket-owners.ts'
import { aloneOn127, type Endpoint, type EndpointOptions } from './endpoint.ts'
import { fileStorage } from '../../storage/files/storage.ts'

/**
 * Serves ACME on loopback, and at the address of other machines if there is one, with a certificate of this authority that is renewed in
 * time.
 */
export async function startAcme(
  { state, settings, now, log }: EndpointOptions,
  started: readonly Endpoint[],
): Promise<Endpoint> {
  const { acmePort, dnsResolver, http01Port, tlsAlpn01Port, allowRemote } = settings
  const baseUrl = urlAt(onlyThisMachine, acmePort)
  const remote = settings.acmeHost === onlyThisMachine ? null : settings.acmeHost
  const remoteUrl = remote === null ? undefined : urlAt(remote, acmePort)
  const revocationUrl = started.find(({ what }) => what === 'revocation')?.url
  const onError = (error: unknown): void => log(`ACME: ${String(error)}`)
  const acme = await createAcmeServer({
    state,
    baseUrl,
    remoteUrl,
    now,
    authority: createAcmeAuthority({ storage: fileStorage(state), now, revocationUrl }),
    owners: await findSocketOwners(state),
    onError,
    options: {
      http01Port,
      tlsAlpn01Port,
      allowRemote,
      // A container program may hand connections on, so that they seem to be of this machine.
      eabRequired: settings.eabRequired || remote !== null,
      dnsResolver: dnsResolver ?? undefined,
    },
  })
  try {
    const site = await openSecuredSite({
      state,
      handler: acme.handler,
      port: acmePort,
      ...(remote === null ? {} : { names: [...loopbackNames, remote] }),
      ...(remote === null || isIP(remote) === 0 ? {} : { alsoOn: remote }),
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
      remoteUrl: remoteUrl === undefined ? undefined : `${remoteUrl}/directory`,
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

const urlAt = (host: string, port: number): string => `https://${hostPort(host, port)}/acme`
