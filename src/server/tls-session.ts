import { expectExplicit, expectInteger, isContext, readDer } from '../x509/asn1-reader.ts'

/** Names by the numbers of the IANA registry “TLS Supported Groups”. */
const groupNames: Readonly<Record<number, string>> = {
  0x0017: 'P-256',
  0x0018: 'P-384',
  0x0019: 'P-521',
  0x001d: 'X25519',
  0x001e: 'X448',
  0x0100: 'ffdhe2048',
  0x0101: 'ffdhe3072',
  0x11eb: 'SecP256r1MLKEM768',
  0x11ec: 'X25519MLKEM768',
  0x11ed: 'SecP384r1MLKEM1024',
}

/**
 * Returns the group of the key exchange that a server's TLS session began with, such as `X25519`,
 * or its number, such as `0x001f`. `null`: there was none, or this TLS library does not say.
 * `session` is what `getSession` of the server's socket returns. OpenSSL 3 writes the group into it
 * as `[19]` (SSL_SESSION_ASN1 in its ssl/ssl_asn1.c), and Node has no other way to ask in a server.
 */
export function groupOfSession(session: Buffer | undefined): string | null {
  if (session === undefined) return null
  const what = 'The TLS session'
  try {
    const field = readDer(session, what).children.find((value) => isContext(value, 19))
    if (field === undefined) return null
    const group = Number(expectInteger(expectExplicit(field, 19, what), what))
    return groupNames[group] ?? `0x${group.toString(16).padStart(4, '0')}`
  } catch {
    // This encoding is not OpenSSL's own.
    return null
  }
}
