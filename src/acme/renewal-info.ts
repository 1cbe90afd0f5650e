import { createHash } from 'node:crypto'
import { renewalTime } from '../x509/profiles.ts'
import { readCertId } from './cert-id.ts'
import type { AcmeContext, Answer } from './context.ts'
import { AcmeProblem, malformed, notFound, unauthorized } from './problems.ts'
import type { Account, AcmeIdentifier, StoredCertificate } from './resources.ts'
import type { Unit } from './store/contract.ts'

/**
 * Finds a certificate by its certID. Returns `null` when the text is not a certID, and `undefined` when
 * no order has such a certificate.
 */
export function findByCertId(unit: Unit, certId: string): StoredCertificate | null | undefined {
  const read = readCertId(certId)
  if (read === null) return null
  const certificate = unit.certificateBySerialNumber(read.serialNumber)
  return certificate?.issuerKeyIdentifier === read.issuer ? certificate : undefined
}

const hour = 3600

/**
 * Says when to renew a certificate (RFC 9773 §4.2): at once, if it was revoked or if the issuer that the
 * certID names is not the current one of its scope. Else in a window of a twelfth of its lifetime, which
 * begins within a twelfth after two thirds of that: after an outage many certificates may be issued at
 * the same time, and some clients renew when the window begins. The serial number decides about that and
 * about when to ask again, so that every answer for one certificate is the same. It asks the record, which
 * outlives the orders.
 */
export async function renewalInfo(
  { authority, now }: Pick<AcmeContext, 'authority' | 'now'>,
  certId: string,
): Promise<Answer> {
  const read = readCertId(certId)
  if (read === null) throw malformed('This is not the ID of a certificate (RFC 9773).')
  const found = await authority.find(read.serialNumber)
  if (found === null) throw notFound('No certificate with this ID was issued here.')
  const { validity, isRevoked, currentIssuer } = found
  const [notBefore, notAfter] = [validity.notBefore.getTime(), validity.notAfter.getTime()]
  const atOnce = isRevoked || currentIssuer !== read.issuer
  const twelfth = (notAfter - notBefore) / 12
  const [later, askAgain] = sharesOf(read.serialNumber)
  const start = atOnce
    ? Math.min(now().getTime() - 60_000, notAfter)
    : renewalTime(validity) + later * twelfth
  const end = atOnce ? start + 30_000 : start + twelfth
  return {
    status: 200,
    headers: { 'Retry-After': String(Math.floor((5 + 2 * askAgain) * hour)) },
    body: { suggestedWindow: { start: iso(start), end: iso(end) } },
  }
}

/** Returns two numbers from 0 up to 1 that are a certificate's own. */
function sharesOf(serialNumber: string): [number, number] {
  const digest = createHash('sha256').update(serialNumber).digest()
  return [digest.readUInt32BE(0) / 2 ** 32, digest.readUInt32BE(4) / 2 ** 32]
}

const iso = (milliseconds: number): string =>
  new Date(Math.floor(milliseconds / 1000) * 1000).toISOString().replace('.000Z', 'Z')

/**
 * Checks `replaces` of a new order (RFC 9773 §5). Throws malformed, unauthorized or
 * alreadyReplaced.
 */
export function replacedCertificate(
  unit: Unit,
  certId: string,
  account: Account,
  identifiers: readonly AcmeIdentifier[],
): void {
  const certificate = findByCertId(unit, certId)
  if (certificate === null) throw malformed('replaces is not the ID of a certificate (RFC 9773).')
  if (certificate === undefined)
    throw malformed('replaces names a certificate that was not issued here.')
  if (certificate.accountId !== account.id)
    throw unauthorized('replaces names the certificate of another account.')
  const shared = certificate.identifiers.some(({ type, value }) =>
    identifiers.some((one) => one.type === type && one.value === value),
  )
  if (!shared) throw malformed('The order shares no identifier with the certificate it replaces.')
  if (certificate.replacedBy !== undefined)
    throw new AcmeProblem('alreadyReplaced', 'The certificate has been replaced before.')
}
