import type { X509Certificate } from 'node:crypto'

/** The ID of a certificate in renewal information (RFC 9773 §4.1). */
export function certIdOf({ raw, serialNumber }: X509Certificate): string {
  // authorityKeyIdentifier: SEQUENCE { [0] 20 octets }.
  const at = raw.indexOf(Buffer.from('30168014', 'hex'))
  const issuer = raw.subarray(at + 4, at + 24).toString('base64url')
  return `${issuer}.${Buffer.from(serialNumber, 'hex').toString('base64url')}`
}
