import type { X509Certificate } from 'node:crypto'
import { expectOid, expectSequence } from './asn1-reader.ts'
import { extensionOf, readCertificateParts } from './certificate-reader.ts'
import { ipBytes, ipText, isIP } from './ip.ts'
import type { Validity } from './profiles.ts'

/*
 * What node:crypto gives of a certificate, in the forms that the rest of the code uses.
 */

/** SHA-256 of the DER, lower-case hex. */
export function fingerprintOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase()
}

/**
 * Returns a fingerprint as people compare it: in groups of eight digits, which fit a line of 80 and
 * can be pasted into `trust` and `untrust` as they are.
 */
export const fingerprintText = (hex: string): string => hex.replace(/(.{8})(?=.)/g, '$1:')

export function validityOf(certificate: X509Certificate): Validity {
  return { notBefore: new Date(certificate.validFrom), notAfter: new Date(certificate.validTo) }
}

/**
 * Splits the subjectAltName into its names, such as `['DNS:a.test', 'IP Address:127.0.0.1']`. Node
 * quotes a name with a comma as JSON does, and writes `::1` as `0:0:0:0:0:0:0:1`; here it is short.
 */
export function altNameParts({
  subjectAltName,
}: Partial<Pick<X509Certificate, 'subjectAltName'>>): string[] {
  const parts = subjectAltName?.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g) ?? []
  return parts.map((part) => part.trim().replace(/(?<=^IP Address:).*/, shortAddress))
}

const shortAddress = (text: string): string => (isIP(text) === 0 ? text : ipText(ipBytes(text)))

/**
 * Whether an issuer issued a certificate: the names match, and the issuer's key made the signature.
 */
export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && isSignedBy(certificate, issuer)
}

/**
 * Whether an issuer's key signed a certificate, whatever the names: `checkIssued` refuses a leaf
 * that signed itself without keyCertSign.
 */
export function isSignedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  try {
    return certificate.verify(issuer.publicKey)
  } catch {
    return false
  }
}

/** Purposes of extKeyUsage (RFC 5280 §4.2.1.12), in dotted form. */
export const purposes = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  any: '2.5.29.37.0',
} as const

/**
 * Returns the purposes in extKeyUsage, in dotted form; none: the certificate has no such extension.
 * Node and Bun call them `keyUsage`; in Deno that is the extension keyUsage. There it throws
 * `bad-der` too.
 */
export function purposesOf(certificate: X509Certificate): readonly string[] {
  if (!('deno' in process.versions)) return certificate.keyUsage ?? []
  const what = 'The certificate'
  const value = extensionOf(readCertificateParts(certificate.raw), '2.5.29.37')
  return value === null ? [] : expectSequence(value, what).map((oid) => expectOid(oid, what))
}
