import { readScopes } from '../authority/scope.ts'
import { keptCertificate } from '../certificates/kept.ts'
import { revokedIn } from '../certificates/revoked-in.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import type { Contexts } from '../server/contexts.ts'
import { createHttpsServer, type HttpsServer, type HttpsServerOptions } from '../server/https.ts'
import {
  loadKeyPair,
  type KeyPair,
  type KeyPairOrigin,
  type KeyPairWarning,
} from '../server/key-pair.ts'
import { listenOnLoopback } from '../server/listen.ts'
import type { ClientGate } from '../server/mutual-tls.ts'
import { renewingPair, type RenewingPair } from '../server/renewing.ts'
import { certificatesOf } from '../storage/files/certificates.ts'
import { stampOfScopes } from '../storage/files/scopes.ts'
import { altNameParts } from '../x509/parsed-certificate.ts'
import { isIP } from '../x509/ip.ts'
import type { AuthoritySource } from './mtls/client-authorities.ts'
import {
  answersOn,
  isLoopback,
  loopbackNames,
  networkAddresses,
  ownAddresses,
  type NetworkAddresses,
} from './own-addresses.ts'

/** A certificate with its key that the site is given, instead of one that it keeps; not renewed. */
export interface GivenCertificate {
  /** PEM, leaf first. */
  readonly cert: string
  /** The files of the certificate and its key, for error sentences. */
  readonly key: string
  /** The files they came from, for error sentences. */
  readonly certificateFile: string
  readonly keyFile: string
}

/** What a site reports while it runs; each function may be left out. */
export interface SiteReports extends Pick<
  HttpsServerOptions,
  'onRequest' | 'onConnectionError' | 'onHandlerError'
> {
  /**
   * Called before the site listens, for something about the certificate that clients may refuse.
   */
  readonly onWarning?: (warning: KeyPairWarning) => void
  readonly onRenewed?: () => void
  readonly onRenewalFailed?: (error: unknown, nextAttempt: Date) => void
  /** Called when a name gets no certificate on demand; its client is shown the site's own. */
  readonly onNameRefused?: (name: string, error: unknown) => void
  /** Called when the CAs of clients have changed, with how many there are now. */
  readonly onClientAuthoritiesChanged?: (count: number) => void
  /** Called when the CAs of clients cannot be read; the site goes on with the earlier ones. */
  readonly onClientAuthoritiesFailed?: (error: unknown) => void
  /** Called when this machine has no ::1, so that the site answers on 127.0.0.1 alone. */
  readonly onAlone?: () => void
}

export interface SecuredSiteOptions extends SiteReports {
  readonly state: StateDirectory
  readonly handler: HttpsServerOptions['handler']
  /** The address to listen on; by default both loopback addresses, as `localhost` may be either. */
  readonly host?: string | undefined
  /** A further address to listen on, at the same port. */
  readonly alsoOn?: string | undefined
  /** 0 takes a free port. */
  readonly port: number
  readonly minVersion?: HttpsServerOptions['minVersion']
  /**
   * The certificate to show; by default one that this machine keeps, renews, and replaces when its
   * authority changes.
   */
  readonly certificate?: GivenCertificate | undefined
  /**
   * The names of the kept certificate; by default `localhost`, both loopback addresses, and `host`,
   * or, where that means every address, those of this machine's addresses that may be signed.
   */
  readonly names?: readonly string[]
  /** The lifetime of the kept certificate. */
  readonly days?: number
  /** Issues a certificate for any other name when a client first asks for it. */
  readonly onDemand?: boolean | undefined
  /** Asks clients for certificates. */
  readonly clients?: SiteClients | undefined
  readonly now: () => Date
  /** The addresses of this machine, for tests. */
  readonly own?: readonly string[]
}

export interface SiteClients {
  /** Also lets in clients without a certificate. */
  readonly optional: boolean
  /** The CAs whose certificates let clients in; by default those of this machine. */
  readonly authorities?: AuthoritySource | undefined
}

export interface SecuredSite {
  readonly port: number
  /** The names and addresses of the certificate that the site began with. */
  readonly names: readonly string[]
  /** One URL for each name at which the site answers. */
  readonly urls: readonly string[]
  /**
   * The addresses of this machine on which the site answers other machines, and which its authority
   * may not sign.
   */
  readonly unsigned: readonly string[]
  /** Closes the site as `HttpsServer.close` closes a server. */
  close(options?: { readonly drainMilliseconds?: number }): Promise<void>
}

/**
 * Serves over HTTPS with a certificate of the authority in `state`, and follows what changes
 * there: the certificate is renewed in time, and issued anew when it is revoked or the authority is
 * rotated. Throws
 * what `keptCertificate`, `loadKeyPair`, `createClientGate` and `createHttpsServer` throw; nothing
 * is left running then.
 */
export async function openSecuredSite(options: SecuredSiteOptions): Promise<SecuredSite> {
  const { host, port, minVersion, handler, now, onAlone } = options
  const { onRequest, onConnectionError, onHandlerError } = options
  const servers: HttpsServer[] = []
  const timers: { stop(): void }[] = []
  const stop = (): void => timers.forEach((timer) => timer.stop())
  try {
    const gate = await openGate(options, servers)
    if (gate !== null) timers.push(gate)
    const source = await openSource(options, servers)
    timers.push(source)
    const pair = source.current()
    pair.warnings.forEach((warning) => options.onWarning?.(warning))
    const contexts = options.onDemand === true ? await openContexts(pair, options) : undefined
    const start = async (address: string, chosen: number): Promise<HttpsServer> => {
      // Not `pair`, which may have been renewed since.
      const current = source.current()
      const server = await createHttpsServer({
        pair: current,
        host: address,
        port: chosen,
        minVersion,
        handler,
        clients: gate?.clients,
        contexts,
        now,
        onRequest,
        onConnectionError,
        onHandlerError,
      })
      servers.push(server)
      // A renewal while the server began to listen did not reach it.
      if (source.current() !== current) server.replaceCertificate(source.current())
      return server
    }
    const listening =
      host === undefined
        ? await listenOnLoopback(port, start, () => onAlone?.())
        : ([await start(host, port)] as const)
    if (options.alsoOn !== undefined) await startAlso(start, options.alsoOn, listening)
    const names = namesOf(pair)
    const taken = listening[0].port
    const own = options.own ?? ownAddresses()
    const reached = names.filter((name) => isReached(name, listening, own))
    return {
      port: taken,
      names,
      // A name outside this machine may still lead here, if somebody maps it.
      urls: (reached.length > 0 ? reached : names).map((name) => urlOf(name, taken)),
      unsigned: source.unsigned,
      async close(closing) {
        stop()
        await Promise.all(servers.map((server) => server.close(closing)))
      },
    }
  } catch (error) {
    stop()
    throw error
  }
}

/** Starts a server at a further address; when it cannot listen, closes those that listen already. */
async function startAlso(
  start: (address: string, port: number) => Promise<HttpsServer>,
  address: string,
  listening: readonly [HttpsServer, ...HttpsServer[]],
): Promise<void> {
  try {
    await start(address, listening[0].port)
  } catch (error) {
    await Promise.all(listening.map((server) => server.close({ drainMilliseconds: 0 })))
    throw error
  }
}

async function openSource(
  { state, certificate, days, now, onRenewed, onRenewalFailed, ...options }: SecuredSiteOptions,
  servers: readonly HttpsServer[],
): Promise<Pick<RenewingPair, 'current' | 'stop'> & Pick<SecuredSite, 'unsigned'>> {
  const load = async (cert: string, key: string, origin?: KeyPairOrigin): Promise<KeyPair> => {
    const roots = (await readScopes(state)).map(({ root }) => root.toString())
    return loadKeyPair(cert, key, now(), { ...origin, roots })
  }
  if (certificate !== undefined) {
    const pair = await load(certificate.cert, certificate.key, certificate)
    return { current: () => pair, stop: () => undefined, unsigned: [] }
  }
  const { names = [], host, own = ownAddresses() } = options
  const { signed, unsigned } =
    names.length === 0 && (host === '0.0.0.0' || host === '::')
      ? await networkAddresses(state, host, own)
      : noAddresses
  const asked = names.length > 0 ? names : [...defaultNames(host), ...signed]
  const lifetime = days === undefined ? {} : { days }
  const renewing = await renewingPair({
    issue: async () => {
      const { cert, key } = await keptCertificate(state, asked, lifetime, now())
      return load(cert, key)
    },
    issuersStamp: () => stampOfScopes(state),
    isRevoked: revokedIn(state),
    checkMilliseconds: 1_000,
    now,
    onRenewed: (pair) => {
      onRenewed?.()
      servers.forEach((server) => server.replaceCertificate(pair))
    },
    onFailed: onRenewalFailed,
  })
  return { ...renewing, unsigned }
}

const noAddresses: NetworkAddresses = { signed: [], unsigned: [] }

/**
 * Creates the gate that decides about clients, and follows their CAs. Returns `null` when clients
 * are not asked for certificates.
 */
async function openGate(
  { state, clients, now, ...reports }: SecuredSiteOptions,
  servers: readonly HttpsServer[],
): Promise<{ readonly clients: ClientGate; stop(): void } | null> {
  if (clients === undefined) return null
  const { createClientGate } = await import('../server/mutual-tls.ts')
  const { recordedRevocations } = await import('./mtls/recorded-revocations.ts')
  const { ownAuthorities, watchAuthorities } = await import('./mtls/client-authorities.ts')
  let gate: ClientGate | null = null
  const authorities = clients.authorities ?? (await ownAuthorities(state, now()))
  const { initial, stop } = await watchAuthorities(authorities, {
    onChanged: (changed) => {
      // The gate itself is told for the servers that do not listen yet.
      gate?.trust(changed)
      servers.forEach((server) => server.replaceClientAuthorities(changed))
      reports.onClientAuthoritiesChanged?.(changed.ca.length)
    },
    onFailed: (error) => reports.onClientAuthoritiesFailed?.(error),
  })
  const { optional } = clients
  const revocationOf = recordedRevocations(certificatesOf(state))
  try {
    gate = createClientGate({ ...initial, optional, revocationOf, now })
    return { clients: gate, stop }
  } catch (error) {
    stop()
    throw error
  }
}

async function openContexts(
  { leaf }: KeyPair,
  { state, now, onNameRefused }: SecuredSiteOptions,
): Promise<Contexts> {
  const { createContexts } = await import('../server/contexts.ts')
  const { onDemandIssuer } = await import('../certificates/on-demand.ts')
  return createContexts({
    issue: onDemandIssuer(state, now),
    isRevoked: revokedIn(state),
    covers: (name) => leaf.checkHost(name) !== undefined,
    now,
    onRefused: onNameRefused,
  })
}

function defaultNames(host: string | undefined): string[] {
  const everyAddress = host === '0.0.0.0' || host === '::'
  return [...new Set([...loopbackNames, ...(host === undefined || everyAddress ? [] : [host])])]
}

/**
 * Whether a name or address of the certificate leads to one of the servers. A name other than
 * `localhost` may be mapped to any address.
 */
function isReached(name: string, servers: readonly HttpsServer[], own: readonly string[]): boolean {
  const answers = (address: string): boolean => servers.some(({ host }) => answersOn(host, address))
  if (isIP(name) > 0) {
    const isOwn = isLoopback(name) || own.some((address) => answersOn(name, address))
    return isOwn && answers(name)
  }
  const isLocal = /^(?:.*\.)?localhost$/i.test(name)
  return !isLocal || answers('127.0.0.1') || answers('::1')
}

function namesOf({ leaf }: KeyPair): string[] {
  return altNameParts(leaf).flatMap((name) => /^(?:DNS|IP Address):(.*)$/.exec(name)?.[1] ?? [])
}

function urlOf(name: string, port: number): string {
  const host = name.includes(':') ? `[${name}]` : name.replace(/^\*/, 'any')
  return new URL(`https://${host}:${port}`).href
}
