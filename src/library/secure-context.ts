/// <reference lib="esnext.disposable" preserve="true" />
import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { SecureContext, SecureContextOptions } from 'node:tls'
import { keptCertificate, type Certificate } from '../certificates/kept.ts'
import { revokedIn } from '../certificates/revoked-in.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import type { Contexts } from '../server/contexts.ts'
import { renewingPair, type RenewingPair } from '../server/renewing.ts'
import { stampOfScopes } from '../storage/files/scopes.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import type { CertificateForOptions } from './certificate-for.ts'
import { givenNames } from './given-names.ts'
import { openAuthority, systemClock } from './state.ts'

/** How certificates are chosen and renewed while a server runs. */
export interface RenewalOptions extends CertificateForOptions {
  /**
   * Whether a client that asks by SNI (RFC 6066 §3) for a name that is not among `names`, and that
   * the authority may sign, gets a certificate for it, issued at that moment; default: `false`. At
   * most 256 names are held at a time. Of what is issued in an hour, all beyond 1,000 certificates
   * lasts an hour and is not recorded, so that no web page can fill the record.
   */
  readonly onDemand?: boolean
  /**
   * Called with each certificate for `names` after the first; new connections get it already, but
   * for those without SNI to a server that only spread a `ServerContext`.
   */
  readonly onRenewed?: (certificate: Certificate) => void
  /**
   * Called when a renewal fails; the certificate in use stays. Default: a warning of the process
   * (`process.emitWarning`) with the code `ROOTLING_RENEWAL`.
   */
  readonly onRenewalFailed?: (error: unknown, nextAttempt: Date) => void
  /**
   * Called when a name gets no certificate on demand; its client is shown the one for `names`, which
   * it will refuse.
   */
  readonly onNameRefused?: (name: string, error: unknown) => void
}

/** How a server's certificates are chosen, renewed and used. */
export interface SecureContextForOptions extends RenewalOptions {
  /**
   * Further settings of the certificates that are chosen by SNI. A server with `requestCert` needs
   * `ca` here as well as in its own options: with SNI these settings count.
   */
  readonly tls?: SecureContextOptions
}

/** What a server shows to its clients, to be spread into its options. */
export interface ServerContext extends Disposable {
  /** PEM, leaf first, for all names: what a client without SNI is shown. Read anew, it is current. */
  readonly cert: string
  /** The key of `cert`, PKCS #8 PEM. */
  readonly key: string
  /**
   * Chooses the certificate by the name that a client asks for. For hosts that is one without IP
   * addresses: Bun refuses every certificate with an address if its issuer is limited to addresses.
   */
  readonly SNICallback: (
    servername: string,
    done: (error: Error | null, context?: SecureContext) => void,
  ) => void
  /** Stops the renewal; may be called again. A server goes on with the certificate that it has. */
  readonly close: () => void
}

/**
 * Returns a key, a certificate and an `SNICallback` for any server of `node:https`, `node:http2` or
 * `node:tls`, and renews the certificate while the server runs: when two thirds of its lifetime have
 * passed, when it is revoked, and when its authority is replaced, which it notices within a second.
 * Clients that send SNI, as all do for a host, are shown the new one at once. Those without, which
 * ask for an IP address, are shown it after `server.setSecureContext`; call that in `onRenewed`, or
 * use `createServer`, which does it.
 *
 * The renewal keeps no process alive; it ends with `close` or `using`. Never prompts. Throws what
 * `certificateFor` throws, for the first certificate alone.
 *
 * @example
 * import { createServer } from 'node:tls'
 * import { secureContextFor } from 'rootling'
 *
 * const context = await secureContextFor(['localhost', '127.0.0.1', '::1'])
 * const server = createServer({ ...context }, (socket) => socket.end('hello'))
 * server.listen(0).on('close', () => context.close())
 */
export async function secureContextFor(
  names: string | readonly string[],
  options: SecureContextForOptions = {},
): Promise<ServerContext> {
  const { now = systemClock, onDemand = false, onRenewed } = options
  const all = givenNames(names)
  const state = await openAuthority({ ...options, now })
  const isAddress = (name: string): boolean => parseIdentifier(name).type === 'ip'
  const hosts = all.filter((name) => !isAddress(name))
  const make = ({ cert, key }: Pick<Certificate, 'cert' | 'key'>): SecureContext =>
    // Without `ca`, Node would read all public roots first, which a server has no use for.
    createSecureContext({ ca: [], ...options.tls, cert, key })
  const forget = (): void => contexts?.forget()
  const open = (some: readonly string[], report: (certificate: Certificate) => void) =>
    openRenewing(state, some, { ...options, onRenewed: report }, make)
  const whole = await open(all, (certificate) => {
    forget()
    onRenewed?.(certificate)
  })
  let named = whole
  try {
    if (hosts.length > 0 && hosts.length < all.length) named = await open(hosts, forget)
  } catch (error) {
    whole.stop()
    throw error
  }
  const contexts = onDemand
    ? await openContexts(state, options, (name) => named.current().leaf.checkHost(name))
    : undefined
  const further = contexts?.select(make)
  const close = (): void => {
    whole.stop()
    named.stop()
  }
  return {
    get cert() {
      return whole.current().cert
    },
    get key() {
      return whole.current().key
    },
    SNICallback(servername, done) {
      const { leaf, context } = named.current()
      if (leaf.checkHost(servername) !== undefined) return done(null, context)
      const unknown = whole.current().context
      if (further === undefined) return done(null, unknown)
      further(servername, (error, issued) => done(error, issued ?? unknown))
    },
    close,
    [Symbol.dispose]: close,
  }
}

/** A certificate that a server shows. */
interface Shown extends Certificate {
  readonly leaf: X509Certificate
  readonly context: SecureContext
}

function openRenewing(
  state: StateDirectory,
  names: readonly string[],
  options: RenewalOptions,
  make: (certificate: Certificate) => SecureContext,
): Promise<RenewingPair<Shown>> {
  const { now = systemClock, onRenewed, onRenewalFailed = warn } = options
  return renewingPair<Shown>({
    issue: async () => {
      const certificate = await keptCertificate(state, names, options, now())
      const leaf = new X509Certificate(certificate.cert)
      return { ...certificate, leaf, context: make(certificate) }
    },
    issuersStamp: () => stampOfScopes(state),
    isRevoked: revokedIn(state),
    checkMilliseconds: 1_000,
    now,
    onRenewed: ({ leaf: _leaf, context: _context, ...certificate }) => onRenewed?.(certificate),
    onFailed: onRenewalFailed,
  })
}

async function openContexts(
  state: StateDirectory,
  { now = systemClock, days, onNameRefused }: RenewalOptions,
  checkHost: (name: string) => string | undefined,
): Promise<Contexts> {
  const { createContexts } = await import('../server/contexts.ts')
  const { onDemandIssuer } = await import('../certificates/on-demand.ts')
  return createContexts({
    issue: onDemandIssuer(state, now, days),
    isRevoked: revokedIn(state),
    covers: (name) => checkHost(name) !== undefined,
    now,
    onRefused: onNameRefused,
  })
}

function warn(error: unknown, nextAttempt: Date): void {
  const reason = error instanceof Error ? error.message : String(error)
  const sentence = `A server's certificate could not be renewed: ${reason} The next attempt is at ${nextAttempt.toISOString()}.`
  process.emitWarning(sentence, { type: 'RootlingWarning', code: 'ROOTLING_RENEWAL' })
}
