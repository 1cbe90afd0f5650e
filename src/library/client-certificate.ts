import { keptFor, type Certificate, type KeptOptions } from '../certificates/kept.ts'
import { givenNames } from './given-names.ts'
import { openAuthority, systemClock, type StateOptions } from './state.ts'

/** What a certificate of a client can have, and where it is kept. */
export interface ClientCertificateOptions extends KeptOptions, StateOptions {
  /**
   * The subject in the text form of RFC 4514, such as `CN=alice,O=Example`; with it there need be no
   * names. Default: the first name as common name.
   */
  readonly subject?: string
}

/**
 * A certificate of a client and its key. `tls.connect`, `https.request`, `http2.connect` and an
 * undici `Agent` take `cert`, `key` and `ca` as they are.
 */
export interface ClientCertificate extends Omit<Certificate, 'ca' | 'caPath'> {
  /** PEM of this machine's roots, with which the client checks servers. */
  readonly ca: string
  /** PEM of the root of client certificates: the `ca` of a server that lets this client in. */
  readonly clientCa: string
  /** The absolute path of the same PEM in a file. */
  readonly clientCaPath: string
}

/**
 * Returns a certificate with which a client shows a server who it is: for a user name such as
 * `alice`, which becomes the common name, or for hosts, addresses, e-mail addresses or URIs. It is
 * kept in the state directory and returned again until two thirds of its lifetime have passed or it
 * is revoked; then a new one is issued. Its root is in no trust store, so no browser takes it for a
 * server's. Creates a certificate authority where there is none yet. Never prompts. Throws a
 * RootlingError: `bad-name`, `usage` (no names and no subject, a name that is too long for a common
 * name, or days out of range), `issuer-expired`, `loose-key`, `corrupt-state`, `newer-state`,
 * `state-unwritable`, `locked`.
 *
 * @example
 * import { once } from 'node:events'
 * import { get } from 'node:https'
 * import { clientCertificateFor, createServer } from 'rootling'
 *
 * const { cert, key, ca, clientCa } = await clientCertificateFor('alice')
 * const settings = { ca: clientCa, requestCert: true }
 * const server = await createServer({ server: settings }, (_, response) => response.end())
 * server.listen(8443)
 * const [response] = await once(get('https://localhost:8443/', { cert, key, ca }), 'response')
 * console.log(response.statusCode) // 200
 * server.close()
 */
export async function clientCertificateFor(
  names: string | readonly string[],
  options: ClientCertificateOptions = {},
): Promise<ClientCertificate> {
  const all = givenNames(names)
  const state = await openAuthority(options)
  const { clientSubject } = await import('../certificates/names.ts')
  const { allRoots } = await import('../storage/files/all-roots.ts')
  const { subject } = options
  const request = clientSubject({
    names: all,
    purpose: 'client',
    ...(subject === undefined ? {} : { subject }),
  })
  const now = (options.now ?? systemClock)()
  const { ca, caPath, ...certificate } = await keptFor(state, request, options, now)
  const servers = await allRoots(state, 'roots-openssl.pem')
  return { ...certificate, ca: servers.join(''), clientCa: ca, clientCaPath: caPath }
}
