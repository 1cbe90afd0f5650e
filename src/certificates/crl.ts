import { requireScope, type Scope } from '../authority/scope.ts'
import { openSigner } from '../authority/signer.ts'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { nextCrlNumber } from '../storage/files/crl-number.ts'
import { exclusively } from '../storage/files/unfinished-writes.ts'
import { readInventory } from '../storage/files/record.ts'
import { readStoredRootCrl } from '../storage/files/scopes.ts'
import type { Inventory } from '../storage/records.ts'
import { signCrl, type RevokedCertificate } from '../x509/crl.ts'
import { day } from '../x509/profiles.ts'

/** The time from thisUpdate to nextUpdate, in milliseconds. */
const crlLifetime = 7 * day

/**
 * Signs a new CRL of a scope (RFC 5280 §5) and returns its DER. Its number is above those of all
 * CRLs before. Throws `no-scope`, and what `openSigner` throws.
 */
export async function makeCrl(
  state: StateDirectory,
  scopeName: string,
  now: Date,
): Promise<Buffer> {
  return exclusively(state, async () => {
    const scope = await existingScope(state, scopeName)
    const signer = await openSigner(state, scope, now)
    const revoked = revokedIn(await readInventory(state), scopeName, now)
    const crlNumber = await nextCrlNumber(state, scopeName, now)
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
  state: StateDirectory,
  scopeName: string,
  now: Date,
): Promise<readonly Buffer[]> {
  const { direct } = await existingScope(state, scopeName)
  // The root's list is read first: damage to it is found before a number is used up.
  const above = direct ? [] : [await readStoredRootCrl(state, scopeName)]
  return [await makeCrl(state, scopeName, now), ...above]
}

/**
 * Returns the entries of a scope's CRL. Expired certificates stay in it for the lifetime of one
 * more CRL (RFC 5280 §3.3).
 */
function revokedIn(
  { certificates, revocations }: Inventory,
  scopeName: string,
  now: Date,
): RevokedCertificate[] {
  return certificates.flatMap(({ scope, serialNumber, notAfter }) => {
    const revocation = revocations.get(serialNumber)
    const gone = Date.parse(notAfter) + crlLifetime < now.getTime()
    if (revocation === undefined || scope !== scopeName || gone) return []
    const { reason, revokedAt } = revocation
    return {
      serialNumber: Buffer.from(serialNumber, 'hex'),
      revocationDate: new Date(revokedAt),
      reason,
    }
  })
}

/**
 * Returns the only CRL of a scope's root, DER: an empty one, signed before the root's key was
 * dropped. Throws `no-scope`, `corrupt-state`, and `usage` for a root that signs leaves itself.
 */
export async function readRootCrl(state: StateDirectory, scopeName: string): Promise<Buffer> {
  const scope = await existingScope(state, scopeName)
  if (!scope.direct) return readStoredRootCrl(state, scopeName)
  throw new RootlingError('usage', `The root of ${scopeName} signs leaves, and their CRL too.`, {
    hint: `rootling crl --scope ${scopeName}`,
  })
}

const existingScope = (state: StateDirectory, name: string): Promise<Scope> =>
  requireScope(state, name, (names) => `The scopes are: ${names.join(', ')}`)
