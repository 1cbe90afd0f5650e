import type { TlsOptions } from 'node:tls'
import type { KeyPair } from './key-pair.ts'

// Only ciphers with forward secrecy and AEAD; RFC 9113 §9.2.2 bans the others for HTTP/2.
const ciphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/** The groups offered for the key exchange. */
export const keyExchangeGroups = ['X25519', 'P-256'] as const

/**
 * Returns the settings that all TLS contexts of a server share: the context of its own certificate
 * and those of certificates by name.
 */
export function tlsSettings(
  { cert, key }: Pick<KeyPair, 'cert' | 'key'>,
  minVersion: 'TLSv1.2' | 'TLSv1.3',
): TlsOptions {
  return {
    cert,
    key,
    minVersion,
    ciphers,
    ecdhCurve: keyExchangeGroups.join(':'),
    honorCipherOrder: true,
  }
}
