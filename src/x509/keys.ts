import {
  createECDH,
  createHash,
  generateKeyPair,
  generateKeyPairSync,
  sign,
  type KeyObject,
} from 'node:crypto'
import { promisify } from 'node:util'
import { RootlingError } from '../errors.ts'
import { bitString, explicit, integer, octetString, sequence, tlv } from './asn1.ts'
import { oids } from './oids.ts'

/** A new key pair as DER, not as KeyObjects: on Node 20, making those takes most of the time. */
export interface KeyPairDer {
  /** SubjectPublicKeyInfo. */
  readonly spki: Buffer
  /** PKCS #8 PrivateKeyInfo, not encrypted. */
  readonly pkcs8: Buffer
}

/** The types of keys that can be made. */
export const keyTypes = ['p256', 'p384', 'rsa2048', 'rsa3072', 'rsa4096', 'ed25519'] as const
/**
 * `p256` and `p384`: ECDSA on a NIST curve; `rsa2048` to `rsa4096`: RSA with so many bits;
 * `ed25519`.
 *
 * @useDeclaredType
 */
export type KeyType = (typeof keyTypes)[number]

/** Throws `usage` for a type of key that only a caller without types can pass. */
export function checkKeyType(keyType: KeyType): void {
  if (keyTypes.includes(keyType)) return
  throw new RootlingError('usage', `${keyType} is no type of key.`, {
    hint: `keyType: ${keyTypes.map((type) => `'${type}'`).join(' | ')}`,
  })
}

const publicKeyEncoding = { type: 'spki', format: 'der' } as const
const privateKeyEncoding = { type: 'pkcs8', format: 'der' } as const

/** Makes a new key pair. RSA keys are made off the main thread; the others take microseconds. */
export async function generateKeys(type: KeyType): Promise<KeyPairDer> {
  switch (type) {
    case 'p256':
    case 'p384':
      return generateEc(curves[type])
    case 'ed25519': {
      const pair = generateKeyPairSync('ed25519', { publicKeyEncoding, privateKeyEncoding })
      return { spki: pair.publicKey, pkcs8: pair.privateKey }
    }
    case 'rsa2048':
    case 'rsa3072':
    case 'rsa4096': {
      const modulusLength = Number(type.slice(3))
      const options = { modulusLength, publicKeyEncoding, privateKeyEncoding }
      const pair = await promisify(generateKeyPair)('rsa', options)
      return { spki: pair.publicKey, pkcs8: pair.privateKey }
    }
  }
}

/**
 * For each curve: OpenSSL's name, the name in RFC 7518 §6.2.1.1, the OID, and the number of octets
 * in a coordinate.
 */
export const curves: Readonly<Record<'p256' | 'p384', Curve>> = {
  p256: { name: 'prime256v1', crv: 'P-256', parameters: oids.prime256v1, bytes: 32 },
  p384: { name: 'secp384r1', crv: 'P-384', parameters: oids.secp384r1, bytes: 48 },
}

/* A type of its own: the inferred one is not known to TypeScript before 5.7. */
interface Curve {
  readonly name: string
  readonly crv: string
  readonly parameters: Buffer
  readonly bytes: number
}

/**
 * Makes an EC key pair and encodes it as OpenSSL does: the public key by RFC 5480 §2, the private
 * key by RFC 5915 §3 within RFC 5958 §2. OpenSSL 3.0 makes an EC key in 25 µs but takes 300 µs to
 * encode it.
 */
function generateEc({ name, parameters, bytes }: (typeof curves)[keyof typeof curves]): KeyPairDer {
  const ecdh = createECDH(name)
  const point = ecdh.generateKeys()
  const secret = ecdh.getPrivateKey()
  // `getPrivateKey` leaves leading zeros out.
  const padded = Buffer.concat([Buffer.alloc(bytes - secret.length), secret])
  const algorithm = sequence(oids.ecPublicKey, parameters)
  const key = sequence(integer(1), octetString(padded), explicit(1, bitString(point)))
  const pkcs8 = sequence(integer(0), algorithm, octetString(key))
  for (const copy of [secret, padded, key]) copy.fill(0)
  return { spki: sequence(algorithm, bitString(point)), pkcs8 }
}

/**
 * How a private key signs: the AlgorithmIdentifier, and the name of the digest (`null`: the
 * algorithm has a digest of its own).
 */
export interface SignatureAlgorithm {
  readonly identifier: Buffer
  readonly digest: string | null
}

const asn1Null = tlv(0x05)
const signatureAlgorithms = {
  p256: { identifier: sequence(oids.ecdsaWithSha256), digest: 'sha256' },
  p384: { identifier: sequence(oids.ecdsaWithSha384), digest: 'sha384' },
  rsa: { identifier: sequence(oids.sha256WithRsaEncryption, asn1Null), digest: 'sha256' },
  ed25519: { identifier: sequence(oids.ed25519), digest: null },
} as const satisfies Record<string, SignatureAlgorithm>

/** How a private key signs; `null`: this library does not sign with such a key. */
export function signatureAlgorithmOf(key: KeyObject): SignatureAlgorithm | null {
  if (key.asymmetricKeyType === 'rsa') return signatureAlgorithms.rsa
  if (key.asymmetricKeyType === 'ed25519') return signatureAlgorithms.ed25519
  switch (key.asymmetricKeyDetails?.namedCurve) {
    case 'prime256v1':
      return signatureAlgorithms.p256
    case 'secp384r1':
      return signatureAlgorithms.p384
    default:
      return null
  }
}

export function signDer(tbs: Buffer, algorithm: SignatureAlgorithm, key: KeyObject): Buffer {
  return sign(algorithm.digest, tbs, key)
}

/**
 * Returns the key identifier of RFC 7093 §2 method 1: the leftmost 160 bits of the SHA-256 of the
 * public key's bits.
 */
export function keyIdentifier(spki: Buffer): Buffer {
  return createHash('sha256').update(publicKeyBits(spki)).digest().subarray(0, 20)
}

/**
 * Returns the contents of the BIT STRING in a SubjectPublicKeyInfo, which must be DER as
 * node:crypto writes it: nothing is checked here.
 */
function publicKeyBits(spki: Buffer): Buffer {
  const [, bodyStart] = header(spki, 0)
  const [algorithmLength, algorithmStart] = header(spki, bodyStart)
  const [bitsLength, bitsStart] = header(spki, algorithmStart + algorithmLength)
  return spki.subarray(bitsStart + 1, bitsStart + bitsLength)
}

function header(der: Buffer, offset: number): [length: number, start: number] {
  const first = der.readUInt8(offset + 1)
  if (first < 0x80) return [first, offset + 2]
  const octets = first & 0x7f
  return [der.readUIntBE(offset + 2, octets), offset + 2 + octets]
}

/**
 * Whether two public keys are the same, in the same form. Unlike `KeyObject.equals`, this leaves
 * nothing behind: for keys of two types, that leaves an error of OpenSSL for the next key that is
 * read, which Node then refuses (Node 20 to 26).
 */
export function isSameKey(one: KeyObject, other: KeyObject): boolean {
  return spkiOf(one).equals(spkiOf(other))
}

const spkiOf = (key: KeyObject): Buffer => key.export({ format: 'der', type: 'spki' })
