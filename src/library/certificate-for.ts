import { keptCertificate, type Certificate, type KeptOptions } from '../certificates/kept.ts'
import { givenNames } from './given-names.ts'
import { openAuthority, systemClock, type StateOptions } from './state.ts'

/** What a certificate can have, and where it is kept. */
export interface CertificateForOptions extends KeptOptions, StateOptions {}

/**
 * Returns a certificate for a name or several: hosts, wildcards, IP addresses, e-mail addresses or URIs.
 * The certificate is kept in the state directory and returned again until two thirds of its
 * lifetime have passed or it is revoked; then a new one is issued. Creates a certificate authority where there is
 * none yet; `rootling install` makes it trusted. Never prompts. Throws a RootlingError: `bad-name`,
 * `usage` (no names, an unknown type of key, or days out of range), `not-permitted` (its hint is the
 * command that permits the names), `issuer-expired`, `loose-key`, `corrupt-state`, `newer-state`,
 * `state-unwritable`, `locked`.
 *
 * @example
 * import { createServer } from 'node:https'
 * import { certificateFor } from 'rootling'
 *
 * const { cert, key } = await certificateFor(['localhost', '127.0.0.1'])
 * const server = createServer({ cert, key }, (request, response) => response.end('hello'))
 * server.listen(8443)
 */
export async function certificateFor(
  names: string | readonly string[],
  options: CertificateForOptions = {},
): Promise<Certificate> {
  const all = givenNames(names)
  const state = await openAuthority(options)
  const now = (options.now ?? systemClock)()
  return keptCertificate(state, all, options, now)
}
