import type { StateDirectory } from '../home/state-directory.ts'
import { fileStorage } from '../storage/files/storage.ts'
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
  readonly serialNumber: string
}

const hour = 3_600_000

/**
 * Returns a function that issues a certificate for one name, while a client waits. The key is never
 * written to disk: a power cut that loses the last lines of the record loses the key too, so
 * nothing waits for the disk. A `brief` certificate lasts an hour, and is not recorded.
 */
export function onDemandIssuer(
  state: StateDirectory,
  now: () => Date,
  days = defaultDays,
): (name: string, brief?: boolean) => Promise<OnDemandPair> {
  const issuer = createIssuer(fileStorage(state), now)
  return async (name, brief = false) => {
    const keys = await generateKeys('p256')
    const { chain, facts } = await issuer.sign(
      {
        identifiers: parseNames([name]),
        purpose: 'server',
        spki: keys.spki,
        keyType: 'p256',
        lifetime: brief ? hourAround(now()) : days,
        // OCSP and CRL know only what is on record.
        ...(brief ? {} : await revocationUrlFor(state, undefined)),
      },
      { durable: false, recorded: !brief },
    )
    const { serialNumber } = facts
    const key = encodePem('PRIVATE KEY', keys.pkcs8)
    return { cert: chain, key, serialNumber, ...parseValidity(facts) }
  }
}

/** The next hour, and the last one for clients whose clock is behind. */
function hourAround(now: Date): Validity {
  const second = Math.floor(now.getTime() / 1000) * 1000
  return { notBefore: new Date(second - hour), notAfter: new Date(second + hour) }
}
