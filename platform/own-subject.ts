import { X509Certificate } from 'node:crypto'

/**
 * Whether a certificate's subject says that Rootling made it. The keychain of macOS and the root
 * store of Windows keep no names of their own, so Rootling's roots are found there by the
 * organization in the subject.
 */
export function isOwnSubject(der: Buffer): boolean {
  try {
    return new X509Certificate(der).subject.split('\n').includes('O=Rootling development CA')
  } catch {
    return false
  }
}

/** Whether a certificate is a root that Rootling made, by its subject. */
export function isOwnRoot(der: Buffer): boolean {
  if (!isOwnSubject(der)) return false
  const { subject, issuer } = new X509Certificate(der)
  return subject === issuer
}
