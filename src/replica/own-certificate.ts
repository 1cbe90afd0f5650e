import { covers } from '../authority/coverage.ts'
import { isTrusted } from '../authority/scope.ts'
import { createIssuer } from '../certificates/issuer.ts'
import { RootlingError } from '../errors.ts'
import { loadKeyPair } from '../server/key-pair.ts'
import { renewingPair, type RenewingPair, type RenewingPairOptions } from '../server/renewing.ts'
import type { Storage } from '../storage/storage.ts'
import { parseIdentifier } from '../x509/identifier.ts'
import { generateKeys } from '../x509/keys.ts'
import { encodePem } from '../x509/pem.ts'

/** In days. Its key never leaves the memory of this process, so it is not recorded. */
const lifetime = 7

export interface OwnCertificateOptions {
  readonly storage: Storage
  /** The host of the server's URL. */
  readonly host: string
  readonly now: () => Date
  readonly onRenewed: RenewingPairOptions['onRenewed']
  readonly onFailed: RenewingPairOptions['onFailed']
}

/**
 * Issues a certificate of the team's authority for the server itself, and renews it at two thirds of its
 * lifetime, and when the authority is rotated. Throws `not-permitted` for a host that the authority may
 * not sign, and what `issue` throws.
 */
export function ownCertificate(options: OwnCertificateOptions): Promise<RenewingPair> {
  const { storage, host, now, onRenewed, onFailed } = options
  const issuer = createIssuer(storage, now)
  return renewingPair({
    now,
    onRenewed,
    onFailed,
    issuersStamp: () => storage.scopes.version(),
    async issue() {
      const identifiers = [parseIdentifier(host)]
      const scopes = (await issuer.scopes()).filter(isTrusted)
      if (!scopes.some((scope) => covers(scope, identifiers)))
        throw new RootlingError('not-permitted', `The authority may not sign ${host}.`, {
          hint: `Its server has to have a name below ${scopes.flatMap(({ permitted }) => permitted).join(' or ')}: --url URL`,
        })
      const keys = await generateKeys('p256')
      const leaf = await issuer.sign(
        {
          identifiers,
          purpose: 'server',
          spki: keys.spki,
          keyType: 'p256',
          lifetime,
        },
        { recorded: false },
      )
      return loadKeyPair(leaf.chain, encodePem('PRIVATE KEY', keys.pkcs8), now())
    },
  })
}
