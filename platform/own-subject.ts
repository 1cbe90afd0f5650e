import { X509Certificate } from 'node:crypto'

/**
 * Whether a certificate names Rootling as its own maker. The keychain of macOS and the root store
 * of Windows keep no name but the subject, so ours are found by its organization.
 */
export function isOwnSubject(der: Buffer): boolean {
  try {
    return new X509Certificate(der).subject.split('\n').includes('O=Rootling development CA')
  } catch {
    return false
  }
}
