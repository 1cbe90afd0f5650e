import { createCipheriv, pbkdf2, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { RootlingError } from '../errors.ts'
import { integer, objectIdentifier, octetString, sequence, tlv } from './asn1.ts'
import { encodePem } from './pem.ts'

/** The rounds that OWASP recommends for PBKDF2 with SHA-256; KeyObject.export would use 2,048. */
const keyIterations = 600_000
/** In octets: the longest passphrase that Node and OpenSSL's tools read. */
const longestPassphrase = 1000

const asn1Null = tlv(0x05)
const pbes2 = objectIdentifier('1.2.840.113549.1.5.13')
const pbkdf2Oid = objectIdentifier('1.2.840.113549.1.5.12')
const hmacWithSha256 = sequence(objectIdentifier('1.2.840.113549.2.9'), asn1Null)
const aes256Cbc = objectIdentifier('2.16.840.1.101.3.4.1.42')

/** Encrypted octets, and the AlgorithmIdentifier that says how to decrypt them. */
export interface Encrypted {
  readonly algorithm: Buffer
  readonly encrypted: Buffer
}

/**
 * Encrypts with PBES2 (RFC 8018 §6.2): PBKDF2 with HMAC-SHA-256, AES-256 in CBC mode, the password
 * in UTF-8.
 */
export async function encryptPbes2(
  plain: Buffer,
  password: string,
  iterations: number,
): Promise<Encrypted> {
  const salt = randomBytes(16)
  const iv = randomBytes(16)
  const key = await promisify(pbkdf2)(password, salt, iterations, 32, 'sha256')
  const cipher = createCipheriv('aes-256-cbc', key, iv)
  const derivation = sequence(octetString(salt), integer(iterations), hmacWithSha256)
  const algorithm = sequence(
    pbes2,
    sequence(sequence(pbkdf2Oid, derivation), sequence(aes256Cbc, octetString(iv))),
  )
  return { algorithm, encrypted: Buffer.concat([cipher.update(plain), cipher.final()]) }
}

/**
 * Encrypts a private key (PKCS #8, DER) under a passphrase. Returns an `ENCRYPTED PRIVATE KEY` in
 * PEM (RFC 5958 §3), which Node and OpenSSL read. Throws `usage` for a passphrase that is empty,
 * has several lines, or is longer than they read.
 */
export async function encryptPkcs8(pkcs8: Buffer, passphrase: string): Promise<string> {
  const bytes = Buffer.byteLength(passphrase)
  const fault =
    bytes === 0 ? 'is empty' : bytes > longestPassphrase ? 'is too long' : 'has several lines'
  // OpenSSL's -passin file: and stdin read only one line, so further lines could never be entered.
  if (bytes === 0 || bytes > longestPassphrase || /[\r\n\0]/.test(passphrase))
    throw new RootlingError('usage', `The passphrase for the key ${fault}.`, {
      hint: `Choose one line of 1 to ${longestPassphrase} bytes`,
    })
  const { algorithm, encrypted } = await encryptPbes2(pkcs8, passphrase, keyIterations)
  return encodePem('ENCRYPTED PRIVATE KEY', sequence(algorithm, octetString(encrypted)))
}
