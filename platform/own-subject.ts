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
