import { createPrivateKey, createPublicKey } from 'node:crypto'
import { keyTypeOf } from '../x509/public-key.ts'
import type { CertificateRecord } from '../storage/records.ts'

/**
 * Whether a text is a private key of the type that was issued with a certificate. The record does not
 * say which key that was, so this is all that can be known once the certificate is gone. An encrypted
 * key is taken for that key.
 */
export function isKeyLike(pem: string, { keyType }: Pick<CertificateRecord, 'keyType'>): boolean {
  if (pem.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----')) return true
  try {
    return keyTypeOf(createPublicKey(createPrivateKey(pem)), 'The key') === keyType
  } catch {
    return false
  }
}
