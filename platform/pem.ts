import { createHash } from 'node:crypto'
import { anchorPrefix, type TrustAnchor } from './trust-store.ts'

const block = /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----([A-Za-z0-9+/=\s]+?)-----END /g

/** Returns the DER of every certificate in a PEM text, in order. Other text is skipped. */
export function certificatesIn(text: string): Buffer[] {
  return Array.from(text.matchAll(block), (match) => Buffer.from(match[1] ?? '', 'base64'))
}

/** Whether a PEM text holds exactly this certificate. */
export function holdsCertificate(text: string, der: Buffer): boolean {
  return certificatesIn(text).some((each) => each.equals(der))
}

/**
 * Returns a certificate as one PEM block in the text encoding of RFC 7468: lines of 64 columns, a
 * final newline.
 */
function certificatePem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`
}

/** Returns the SHA-256 of the DER in lower-case hex. */
export const fingerprintOf = (der: Buffer): string => createHash('sha256').update(der).digest('hex')

/**
 * Returns the anchor of a root. Its name comes from the fingerprint, so that two roots never share
 * a name.
 */
export function createAnchor(der: Buffer): TrustAnchor {
  const fingerprint = fingerprintOf(der)
  return {
    name: anchorPrefix + fingerprint.slice(0, 8),
    pem: certificatePem(der),
    der,
    fingerprint,
  }
}

/** Returns the anchors with each certificate once. */
export function distinctAnchors(anchors: readonly TrustAnchor[]): TrustAnchor[] {
  return [...new Map(anchors.map((anchor) => [anchor.fingerprint, anchor])).values()]
}
