import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { Scope } from './authority.ts'
import { RootlingError } from './errors.ts'
import { readText } from './storage/files.ts'

/**
 * Refuses to replace what is not ours: a certificate that no scope signed, or a key that does
 * not belong to the certificate beside it. Throws `not-ours`.
 */
export async function refuseForeign(
  { certPath, keyPath }: { certPath: string; keyPath: string },
  scopes: readonly Scope[],
): Promise<void> {
  const cert = await readText(certPath)
  const key = certPath === keyPath ? cert : await readText(keyPath)
  const existing = cert === null ? null : ownCertificate(cert, certPath, scopes)
  if (key === null) return
  if (existing === null || !matches(existing, key))
    throw notOurs(keyPath, 'holds a key that is not of the certificate beside it')
}

function ownCertificate(pem: string, path: string, scopes: readonly Scope[]): X509Certificate {
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(pem)
  } catch {
    throw notOurs(path, 'is not a certificate')
  }
  if (!isIssuedBy(scopes, certificate)) throw notOurs(path, 'is a certificate of another CA')
  return certificate
}

/** Whether one of the scopes signed it. */
export function isIssuedBy(scopes: readonly Scope[], certificate: X509Certificate): boolean {
  return scopes.some(
    ({ intermediate }) =>
      certificate.checkIssued(intermediate) && certificate.verify(intermediate.publicKey),
  )
}

function matches(certificate: X509Certificate, pem: string): boolean {
  try {
    return certificate.checkPrivateKey(createPrivateKey(pem))
  } catch {
    return false
  }
}

function notOurs(path: string, what: string): RootlingError {
  return new RootlingError('not-ours', `${path} ${what}, so it was left as it is.`, {
    hint: 'Write elsewhere with --cert-file and --key-file, or replace it with --force',
  })
}
