import { scopeIn } from '../authority/scope.ts'
import { openSigner } from '../authority/signer.ts'
import { RootlingError } from '../errors.ts'
import type { CertificateRecord } from '../storage/records.ts'
import type { Change, Storage } from '../storage/storage.ts'
import { signCrl, type RevokedCertificate } from '../x509/crl.ts'
import { day } from '../x509/profiles.ts'

/** The time from thisUpdate to nextUpdate, in milliseconds. */
const crlLifetime = 7 * day

/**
 * Signs a new CRL of a scope (RFC 5280 §5) and returns its DER. Its number is above those of all
 * CRLs before. Throws `no-scope`, and what `openSigner` throws.
 */
export async function makeCrl(storage: Storage, scopeName: string, now: Date): Promise<Buffer> {
  return storage.change(async (change) => {
    const scope = await scopeIn(storage, scopeName)
    const signer = await openSigner(change.keys, scope, now)
    const revoked = await revokedIn(change, scopeName, now)
    const crlNumber = await change.nextCrlNumber(scopeName, now)
    const nextUpdate = new Date(now.getTime() + crlLifetime)
    return signCrl({ thisUpdate: now, nextUpdate, crlNumber }, revoked, signer)
  })
}

/**
 * Returns the CRLs of every authority above a scope's certificates, DER: a new one of the scope, then
 * the one of its root, unless the root signs the certificates itself. nginx, HAProxy, PostgreSQL and
 * others that check the whole chain refuse everybody when one of the two is missing (RFC 5280 §6.3).
 * Throws what `makeCrl` and `readRootCrl` throw.
 */
export async function makeCrls(
  storage: Storage,
  scopeName: string,
  now: Date,
): Promise<readonly Buffer[]> {
  const { direct } = await scopeIn(storage, scopeName)
  // The root's list is read first: damage to it is found before a number is used up.
  const above = direct ? [] : [await storage.scopes.rootCrl(scopeName)]
  return [await makeCrl(storage, scopeName, now), ...above]
}

/** From when on a certificate must be valid to be on a CRL that is made now. */
const listedSince = (now: Date): Date => new Date(now.getTime() - crlLifetime)

/** Whether a CRL that is made now lists a certificate, if it is revoked. */
export const isListed = ({ notAfter }: Pick<CertificateRecord, 'notAfter'>, now: Date): boolean =>
  Date.parse(notAfter) >= listedSince(now).getTime()

/**
 * Returns the entries of a scope's CRL. Expired certificates stay in it for the lifetime of one
 * more CRL (RFC 5280 §3.3).
 */
async function revokedIn(
  { certificates }: Change,
  scopeName: string,
  now: Date,
): Promise<RevokedCertificate[]> {
  const entries = await certificates.revoked(scopeName, listedSince(now))
  return entries.flatMap(({ certificate, revocation }) =>
    revocation === null
      ? []
      : {
          serialNumber: Buffer.from(certificate.serialNumber, 'hex'),
          revocationDate: new Date(revocation.revokedAt),
          reason: revocation.reason,
        },
  )
}

/**
 * Returns the only CRL of a scope's root, DER: an empty one, signed before the root's key was
 * dropped. Throws `no-scope`, `corrupt-state`, and `usage` for a root that signs leaves itself.
 */
export async function readRootCrl(storage: Storage, scopeName: string): Promise<Buffer> {
  const scope = await scopeIn(storage, scopeName)
  if (!scope.direct) return storage.scopes.rootCrl(scopeName)
  throw new RootlingError('usage', `The root of ${scopeName} signs leaves, and their CRL too.`, {
    hint: `rootling crl --scope ${scopeName}`,
  })
}
