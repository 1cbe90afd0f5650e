import { renewalTime } from '../x509/profiles.ts'
import type { AcmeContext, Answer } from './context.ts'
import { AcmeProblem, malformed, notFound, unauthorized } from './problems.ts'
import type { Account, AcmeIdentifier, StoredCertificate } from './resources.ts'
import type { Store } from './store/store.ts'

/**
 * Finds a certificate by its certID (RFC 9773 §4.1), which consists of its issuer's key identifier
 * and its serial number. Returns `null` when the text is not a certID, and `undefined` when ACME
 * issued no such certificate here.
 */
export function findByCertId(store: Store, certId: string): StoredCertificate | null | undefined {
  const match = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/.exec(certId)
  if (match === null) return null
  const [issuer, serialNumber] = match.slice(1).map((part) => {
    const octets = Buffer.from(part, 'base64url')
    return octets.toString('base64url') === part ? octets.toString('hex') : ''
  })
  if (issuer === '' || serialNumber === '') return null
  const certificate = store.certificateBySerialNumber(serialNumber ?? '')
  if (certificate === undefined) return undefined
  // The certificate was signed but is not on record yet. Should the process die now, it does not
  // exist.
  if (store.get('order', certificate.orderId)?.certificateId !== certificate.id) return undefined
  return certificate.issuerKeyIdentifier === issuer ? certificate : undefined
}

/** The seconds until clients are to ask again. */
const askAgain = 6 * 3600

/**
 * Says when to renew a certificate (RFC 9773 §4.2): at once, if it was revoked or if a rotation has
 * replaced its issuer.
 */
export async function renewalInfo(
  { store, authority, now }: AcmeContext,
  certId: string,
): Promise<Answer> {
  const certificate = findByCertId(store, certId)
  if (certificate === null) throw malformed('This is not the ID of a certificate (RFC 9773).')
  if (certificate === undefined) throw notFound('No certificate with this ID was issued here.')
  const { notBefore, notAfter, serialNumber, issuerKeyIdentifier } = certificate
  const [revoked, issuers] = await Promise.all([
    authority.isRevoked(serialNumber),
    authority.issuers(),
  ])
  const lifetime = notAfter - notBefore
  const atOnce = revoked || !issuers.has(issuerKeyIdentifier)
  const start = atOnce
    ? Math.min(now().getTime() - 60_000, notAfter)
    : renewalTime({ notBefore: new Date(notBefore), notAfter: new Date(notAfter) })
  const end = atOnce ? start + 30_000 : start + lifetime / 12
  return {
    status: 200,
    headers: { 'Retry-After': String(askAgain) },
    body: { suggestedWindow: { start: iso(start), end: iso(end) } },
  }
}

const iso = (milliseconds: number): string =>
  new Date(Math.floor(milliseconds / 1000) * 1000).toISOString().replace('.000Z', 'Z')

/**
 * Checks `replaces` of a new order (RFC 9773 §5). Throws malformed, unauthorized or
 * alreadyReplaced.
 */
export function replacedCertificate(
  { store }: AcmeContext,
  certId: string,
  account: Account,
  identifiers: readonly AcmeIdentifier[],
): void {
  const certificate = findByCertId(store, certId)
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
