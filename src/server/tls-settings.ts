import { createSecureContext, type TlsOptions } from 'node:tls'
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

/**
 * The groups for the key exchange, as lists for OpenSSL, which begin with what it should prefer.
 * Only OpenSSL 3.5 knows the first list. Its `/` makes a client that sent a key for X25519 alone,
 * but knows X25519MLKEM768 too, send a second key. A FIPS provider may know P-256 alone.
 */
const groupLists = ['X25519MLKEM768/X25519:P-256', 'X25519:P-256', 'P-256'] as const

/** Returns the first of the group lists that `accepts` accepts, otherwise the last. */
export function chooseGroups(accepts: (list: string) => boolean): string {
  return groupLists.find(accepts) ?? 'P-256'
}

/**
 * Whether this Node can use a group list. Asks OpenSSL itself: its version does not tell, since a
 * provider or another TLS library may know other groups.
 */
function isAccepted(list: string): boolean {
  try {
    // Without `ca`, Node would read all public roots first.
    createSecureContext({ ecdhCurve: list, ca: [] })
    return true
  } catch {
    return false
  }
}

let chosen: string | undefined
const chosenGroups = (): string => (chosen ??= chooseGroups(isAccepted))

/** Returns the names of the groups offered for the key exchange, the preferred one first. */
export const keyExchangeGroups = (): string[] => chosenGroups().split(/[/:]/)

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
    ecdhCurve: chosenGroups(),
    honorCipherOrder: true,
  }
}
