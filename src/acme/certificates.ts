import type { X509Certificate } from 'node:crypto'
import { encodePem } from '../x509/pem.ts'
import type { Answer, AcmeContext, SignedByAccount } from './context.ts'
import { notFound, unauthorized } from './problems.ts'

/** RFC 8555 §7.4.2: the chain as PEM, leaf first, and its issuer as a link. */
export function getCertificate(
  { store, urls }: AcmeContext,
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
export async function getIssuer(context: AcmeContext, keyIdentifier: string): Promise<Answer> {
  const { raw } = await findIssuer(context, keyIdentifier)
  return { status: 200, contentType: 'application/pkix-cert', body: raw }
}

/** The same for POST-as-GET, as PEM: Caddy follows the link "up" so, and takes nothing else. */
export async function postIssuer(context: AcmeContext, keyIdentifier: string): Promise<Answer> {
  const issuer = await findIssuer(context, keyIdentifier)
  return {
    status: 200,
    contentType: 'application/pem-certificate-chain',
    body: encodePem('CERTIFICATE', issuer.raw),
  }
}

async function findIssuer(
  { authority }: AcmeContext,
  keyIdentifier: string,
): Promise<X509Certificate> {
  const issuer = (await authority.issuers()).get(keyIdentifier)
  if (issuer !== undefined) return issuer
  throw notFound('There is no such issuer.')
}
