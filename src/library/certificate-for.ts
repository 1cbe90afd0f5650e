import { checkOptions, oneOf, someNamesOf, type OptionKinds } from '../arguments.ts'
import { keptCertificate, type Certificate, type KeptOptions } from '../certificates/kept.ts'
import type { KeyType } from '../x509/keys.ts'
import { maximumDays } from '../x509/profiles.ts'
import { openAuthority, stateOptions, systemClock, type StateOptions } from './state.ts'

/** What a certificate can have, and where it is kept. */
export interface CertificateForOptions extends KeptOptions, StateOptions {}

// Not the list of keys.ts, which a program that is given a kept certificate never loads.
const keyTypes = { p256: 0, p384: 0, rsa2048: 0, rsa3072: 0, rsa4096: 0, ed25519: 0 } as const

export const certificateOptions: OptionKinds<CertificateForOptions> = {
  keyType: oneOf(Object.keys(keyTypes satisfies Record<KeyType, 0>)),
  days: {
    allows: (value) =>
      Number.isInteger(value) && Number(value) >= 1 && Number(value) <= maximumDays,
    what: `a whole number from 1 to ${maximumDays}`,
    example: '397',
  },
  revocationUrl: {
    allows: (value) => value === false || isHttpUrl(value),
    what: 'an http:// URL or false',
    example: "'http://localhost:14680'",
  },
  ...stateOptions,
}

const isHttpUrl = (value: unknown): boolean =>
  typeof value === 'string' && URL.canParse(value) && new URL(value).protocol === 'http:'

/**
 * Returns a certificate for a name or several: hosts, wildcards, IP addresses, e-mail addresses or URIs.
 * The certificate is kept in the state directory and returned again until two thirds of its
 * lifetime have passed or it is revoked; then a new one is issued. Creates a certificate authority where there is
 * none yet; `rootling install` makes it trusted. Never prompts. Throws a RootlingError: `bad-name`,
 * `usage` (no names, or options that mean nothing), `not-permitted` (its hint is the command that
 * permits the names), `issuer-expired`, `loose-key`, `corrupt-state`, `newer-state`, `state-unwritable`,
 * `locked`.
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
  checkOptions('certificateFor', options, certificateOptions)
  const list = someNamesOf(names, "certificateFor(['localhost', '127.0.0.1', '::1'])")
  const state = await openAuthority(options)
  const now = (options.now ?? systemClock)()
  return keptCertificate(state, list, options, now)
}
