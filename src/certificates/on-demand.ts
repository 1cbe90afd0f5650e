import type { StateDirectory } from '../home/state-directory.ts'
import { generateKeys } from '../x509/keys.ts'
import { encodePem } from '../x509/pem.ts'
import { defaultDays, parseValidity, type Validity } from '../x509/profiles.ts'
import { createIssuer } from './issuer.ts'
import { parseNames } from './names.ts'
import { revocationUrlFor } from './revocation-url.ts'

/** PEM: `cert` is the leaf, then its issuers; `key` is PKCS #8. */
export interface OnDemandPair extends Validity {
  readonly cert: string
  readonly key: string
}

/**
 * Returns a function that issues a certificate for one name, while a client waits. The key is never
 * written to disk: a power cut that loses the last lines of the record loses the key too, so
 * nothing waits for the disk.
 */
export function onDemandIssuer(
  state: StateDirectory,
  now: () => Date,
  days = defaultDays,
): (name: string) => Promise<OnDemandPair> {
  const issuer = createIssuer(state, now)
  return async (name) => {
    const keys = await generateKeys('p256')
    const { chain, facts } = await issuer.sign(
      {
        identifiers: parseNames([name]),
        purpose: 'server',
        spki: keys.spki,
        keyType: 'p256',
        lifetime: days,
        ...(await revocationUrlFor(state, undefined)),
      },
      { durable: false },
    )
    return { cert: chain, key: encodePem('PRIVATE KEY', keys.pkcs8), ...parseValidity(facts) }
  }
}
