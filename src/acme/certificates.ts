import type { Answer, Context, SignedByAccount } from './context.ts'
import { notFound, unauthorized } from './problems.ts'

/** RFC 8555 §7.4.2: the chain as PEM, leaf first, and its issuer as a link. */
export function getCertificate(
  { store, urls }: Context,
  id: string,
  { account }: SignedByAccount,
): Answer {
  const certificate = store.get('certificate', id)
  const order = certificate === undefined ? undefined : store.get('order', certificate.orderId)
  // What was signed and not recorded yet is nobody's.
  if (certificate === undefined || order?.certificateId !== id)
    throw notFound('There is no such certificate.')
  if (certificate.accountId !== account.id)
    throw unauthorized('This is the certificate of another account.')
  return {
    status: 200,
    contentType: 'application/pem-certificate-chain',
    headers: { Link: `<${urls.issuer(certificate.issuerKeyIdentifier)}>;rel="up"` },
    body: certificate.leaf + certificate.issuers,
  }
}

/** The certificate that signs, DER: public, and asked for without a signature. */
export async function getIssuer({ authority }: Context, keyIdentifier: string): Promise<Answer> {
  const issuer = (await authority.issuers()).get(keyIdentifier)
  if (issuer === undefined) throw notFound('There is no such issuer.')
  return { status: 200, contentType: 'application/pkix-cert', body: issuer.raw }
}
