import type { X509Certificate } from 'node:crypto'
import { encodePem } from '../x509/pem.ts'
import type { AcmeContext, Answer, SignedByAccount } from './context.ts'
import { notFound, unauthorized } from './problems.ts'

/** Answers with the chain as PEM, leaf first, and with a link to its issuer (RFC 8555 §7.4.2). */
export function getCertificate(
  { store, urls }: AcmeContext,
  { account }: SignedByAccount,
  id: string,
): Answer {
  const certificate = store.get('certificate', id)
  const order = certificate === undefined ? undefined : store.get('order', certificate.orderId)
  // The certificate was signed but is not on record yet. Should the process die now, it does not
  // exist.
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

/** Answers with an issuer's certificate as DER. It is public, so that a GET needs no signature. */
export async function getIssuer(context: AcmeContext, keyIdentifier: string): Promise<Answer> {
  const { raw } = await findIssuer(context, keyIdentifier)
  return { status: 200, contentType: 'application/pkix-cert', body: raw }
}

/**
 * Answers a POST-as-GET with an issuer's certificate as PEM. Caddy follows the link "up" in this
 * way, and accepts no other type.
 */
export async function postIssuer(
  context: AcmeContext,
  _request: SignedByAccount,
  keyIdentifier: string,
): Promise<Answer> {
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
