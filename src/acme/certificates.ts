import type { X509Certificate } from 'node:crypto'
import { encodePem } from '../x509/pem.ts'
import type { AcmeContext, Answer, SignedByAccount, Step } from './context.ts'
import { notFound, unauthorized } from './problems.ts'

/** Answers with the chain as PEM, leaf first, and with a link to its issuer (RFC 8555 §7.4.2). */
export function getCertificate(
  { urls }: AcmeContext,
  { account }: SignedByAccount,
  id: string,
): Step {
  return (unit) => {
    const certificate = unit.get('certificate', id)
    if (certificate === undefined) throw notFound('There is no such certificate.')
    if (certificate.accountId !== account.id)
      throw unauthorized('This is the certificate of another account.')
    return {
      status: 200,
      contentType: 'application/pem-certificate-chain',
      headers: { Link: `<${urls.issuer(certificate.issuerKeyIdentifier)}>;rel="up"` },
      body: certificate.leaf + certificate.issuers,
    }
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
): Promise<Step> {
  const issuer = await findIssuer(context, keyIdentifier)
  return () => ({
    status: 200,
    contentType: 'application/pem-certificate-chain',
    body: encodePem('CERTIFICATE', issuer.raw),
  })
}

async function findIssuer(
  { authority }: AcmeContext,
  keyIdentifier: string,
): Promise<X509Certificate> {
  const issuer = (await authority.issuers()).get(keyIdentifier)
  if (issuer !== undefined) return issuer
  throw notFound('There is no such issuer.')
}
