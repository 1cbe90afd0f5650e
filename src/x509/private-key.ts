import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import * as read from './asn1-reader.ts'
import type { DerValue } from './asn1-reader.ts'
import { isEncryptedKey, pemBlocks, type PemBlock } from './pem.ts'
import { readPublicKey, type PublicKey } from './public-key.ts'

/** A private key, and the public key that belongs to it. */
export interface PrivateKey extends PublicKey {
  readonly privateKey: KeyObject
}

/** In characters; a key takes a few kilobytes. */
const longestText = 0x4_0000

/**
 * Reads the one private key in a PEM text: PKCS #8 (RFC 5958), SEC1 (RFC 5915) or PKCS #1, plain or
 * encrypted. Certificates beside the key are skipped. `what` begins the error's sentence. Throws
 * `bad-key` or `bad-der`, and `usage` where the key is encrypted and there is no passphrase.
 */
export function readPrivateKey(pem: string, passphrase?: string, what = 'The key'): PrivateKey {
  const block = onlyKey(pem, what)
  const encrypted = isEncryptedKey(block)
  if (encrypted && passphrase === undefined)
    throw new RootlingError('usage', `${what} is encrypted, and no passphrase was given.`, {
      hint: 'Give its passphrase, or decrypt it: openssl pkey -in FILE -out key.pem',
    })
  if (block.label === 'ENCRYPTED PRIVATE KEY') checkEncryption(block.der, what)
  const privateKey = encrypted ? decrypt(block, passphrase ?? '', what) : load(block, what)
  const spki = publicPart(privateKey, what)
  return { privateKey, ...readPublicKey(spki, what) }
}

function onlyKey(pem: string, what: string): PemBlock {
  if (pem.length > longestText) throw bad(`${what} is in a text that is too large for a key.`)
  const blocks = pemBlocks(pem)
  const keys = blocks.filter(({ label }) => label.endsWith('PRIVATE KEY'))
  const [key] = keys
  if (key === undefined) {
    const instead = blocks.find(({ label }) => label !== 'EC PARAMETERS')?.label.slice(0, 40)
    const found = instead === undefined ? 'no PEM block of a' : `a ${instead}, but no`
    throw bad(`${what}'s file holds ${found} private key.`)
  }
  if (keys.length > 1) throw bad(`${what}'s file holds ${keys.length} private keys.`)
  if (key.label === 'OPENSSH PRIVATE KEY')
    throw bad(`${what} is in OpenSSH's own format.`, 'ssh-keygen -p -m PKCS8 -f FILE')
  if (!/^(?:(?:ENCRYPTED|EC|RSA) )?PRIVATE KEY$/.test(key.label))
    throw bad(`${what} is of a type that certificates here do not have.`)
  return key
}

function load({ text }: PemBlock, what: string): KeyObject {
  try {
    return createPrivateKey({ key: text, format: 'pem' })
  } catch (cause) {
    throw bad(`${what} is damaged, or of a type that certificates here do not have.`, hint, cause)
  }
}

function decrypt({ text }: PemBlock, passphrase: string, what: string): KeyObject {
  try {
    return createPrivateKey({ key: text, format: 'pem', passphrase })
  } catch {
    // OpenSSL's error is not given as the cause: it depends on the random octets that a wrong
    // passphrase yields.
    throw bad(`${what} cannot be decrypted: the passphrase is wrong, or the file is damaged.`, null)
  }
}

/**
 * Returns the public key's DER. OpenSSL calculates the public key from the private one only now,
 * and may fail.
 */
function publicPart(key: KeyObject, what: string): Buffer {
  try {
    return createPublicKey(key).export({ format: 'der', type: 'spki' })
  } catch (cause) {
    throw bad(`${what} is damaged, or of a type that certificates here do not have.`, hint, cause)
  }
}

const pbes2 = '1.2.840.113549.1.5.13'
const pbkdf2 = '1.2.840.113549.1.5.12'
const scrypt = '1.3.6.1.4.1.11591.4.11'
const tripleDes = '1.2.840.113549.1.12.1.3'
/** The ciphers that are accepted: AES in CBC mode with 128, 192 and 256 bits, and triple DES. */
const ciphers = new Set([
  '2.16.840.1.101.3.4.1.2',
  '2.16.840.1.101.3.4.1.22',
  '2.16.840.1.101.3.4.1.42',
  '1.2.840.113549.3.7',
])

/** Refuses ciphers that OpenSSL 3 no longer has, and key derivations that would take minutes. */
function checkEncryption(der: Buffer, what: string): void {
  const [algorithm] = read.expectSequence(read.readDer(der, what), what)
  const [type, parameters] = read.expectSequence(algorithm, what)
  const oid = read.expectOid(type, what)
  const [first, second] = read.expectSequence(parameters, what)
  if (oid === tripleDes) return limitWork(read.expectInteger(second, what), what)
  if (oid !== pbes2) throw oldEncryption(oid, what)
  const [cipher] = read.expectSequence(second, what)
  const name = read.expectOid(cipher, what)
  if (!ciphers.has(name)) throw oldEncryption(name, what)
  checkKeyDerivation(first, what)
}

function checkKeyDerivation(value: DerValue | undefined, what: string): void {
  const [type, parameters] = read.expectSequence(value, what)
  const oid = read.expectOid(type, what)
  const [, ...numbers] = read.expectSequence(parameters, what)
  const number = (at: number) => read.expectInteger(numbers[at], what)
  if (oid === pbkdf2) limitWork(number(0), what)
  else if (oid === scrypt) limitWork(number(0) * number(1) * number(2), what)
  else throw oldEncryption(oid, what)
}

function limitWork(rounds: bigint, what: string): void {
  if (rounds < 1n || rounds > 10_000_000n)
    throw bad(`${what} would take longer to decrypt than a key of any known tool.`, null)
}

function oldEncryption(oid: string, what: string): RootlingError {
  const sentence = `${what} is encrypted in an old or unusual way (${oid.slice(0, 60)}).`
  return bad(sentence, 'openssl pkcs8 -topk8 -v2 aes-256-cbc -in FILE -out key.pem')
}

const hint = 'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem'

function bad(sentence: string, howTo: string | null = hint, cause?: unknown): RootlingError {
  return new RootlingError('bad-key', sentence, { hint: howTo ?? undefined, cause })
}
