import { createPublicKey, ECDH, type KeyObject } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { expectBits, expectSequence, isUniversal, readDer, unexpected } from './asn1-reader.ts'
import { bitString, sequence } from './asn1.ts'
import { curves } from './keys.ts'
import { oids } from './oids.ts'
import { rsaWeakness } from './weak-rsa.ts'

/** A public key that a certificate may hold. */
export interface PublicKey {
  /** SubjectPublicKeyInfo, DER; the point of an elliptic curve in its uncompressed form. */
  readonly spki: Buffer
  readonly publicKey: KeyObject
  /** `p256`, `p384`, `p521`, `ed25519`, or `rsa` with its bits, such as `rsa2048`. */
  readonly keyType: string
}

/** The `keyType` of a curve, by node:crypto's name. */
const curveTypes: Readonly<Record<string, string>> = {
  prime256v1: 'p256',
  secp384r1: 'p384',
  secp521r1: 'p521',
}

const hint = 'openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem'

/**
 * Reads a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7). `what` begins the error's sentence, such as
 * "The request's key". Throws `bad-der` for anything else, and what `keyTypeOf` throws.
 */
export function readPublicKey(spki: Buffer, what: string): PublicKey {
  const [algorithm, bits] = expectSequence(readDer(spki, what), what)
  const [, parameters] = expectSequence(algorithm, what)
  const point = expectBits(bits, what)
  const publicKey = load(spki, algorithm?.der, point, what)
  if (publicKey.asymmetricKeyType !== 'ec')
    return { spki, publicKey, keyType: keyTypeOf(publicKey, what) }
  const curve = publicKey.asymmetricKeyDetails?.namedCurve ?? ''
  // Explicit parameters may describe a known curve, and few clients understand them.
  if (!isUniversal(parameters, 6)) throw refused(what, onCurve(curve))
  const keyType = keyTypeOf(publicKey, what)
  if (point[0] === 4) return { spki, publicKey, keyType }
  // Clients need not support a compressed point (RFC 5480 §2.2), so it is expanded. The point at
  // infinity is not a key.
  if (algorithm === undefined || (point[0] !== 2 && point[0] !== 3))
    throw unexpected(what, 'a point')
  const whole = ECDH.convertKey(point, curve, undefined, undefined, 'uncompressed') as Buffer
  return readPublicKey(sequence(algorithm.der, bitString(whole)), what)
}

/**
 * The `keyType` of a public key. Throws `bad-key` for RSA below 2048 bits, with a strange exponent
 * or with a modulus that can be factored, and for a type or curve that certificates here do not have.
 */
export function keyTypeOf(publicKey: KeyObject, what: string): string {
  const type = publicKey.asymmetricKeyType ?? 'unknown'
  if (type === 'ed25519') return type
  if (type === 'rsa') return rsaType(publicKey, what)
  if (type !== 'ec') throw refused(what, `is of the type ${type}`)
  const curve = publicKey.asymmetricKeyDetails?.namedCurve ?? ''
  const keyType = curveTypes[curve]
  if (keyType !== undefined) return keyType
  throw refused(what, onCurve(curve))
}

const onCurve = (curve: string): string =>
  curve === '' ? 'has a curve of its own' : `is on the curve ${curve}`

/** The curves of keys that can be made here, by the hex of the AlgorithmIdentifier. */
const ownCurves = new Map(
  Object.values(curves).map((curve) => [
    sequence(oids.ecPublicKey, curve.parameters).toString('hex'),
    curve,
  ]),
)

/**
 * Returns the input for createPublicKey: where possible the coordinates of a point, which take a
 * third of the time on OpenSSL 3.0.
 */
function keyInput(
  spki: Buffer,
  algorithm: Buffer | undefined,
  point: Buffer,
): Parameters<typeof createPublicKey>[0] {
  const curve = ownCurves.get(algorithm?.toString('hex') ?? '')
  if (curve === undefined || point[0] !== 4 || point.length !== 1 + 2 * curve.bytes)
    return { key: spki, format: 'der', type: 'spki' }
  const x = point.toString('base64url', 1, 1 + curve.bytes)
  const y = point.toString('base64url', 1 + curve.bytes)
  return { key: { kty: 'EC', crv: curve.crv, x, y }, format: 'jwk' }
}

function load(spki: Buffer, algorithm: Buffer | undefined, point: Buffer, what: string): KeyObject {
  let key: KeyObject
  try {
    key = createPublicKey(keyInput(spki, algorithm, point))
  } catch (cause) {
    const sentence = `${what} is of an unknown type or is damaged.`
    throw new RootlingError('bad-key', sentence, { hint, cause })
  }
  // OpenSSL reads more than DER, and a certificate must be DER.
  if (!key.export({ format: 'der', type: 'spki' }).equals(spki))
    throw unexpected(what, 'a public key in DER')
  return key
}

function rsaType(key: KeyObject, what: string): string {
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {}
  if (modulusLength < 2048)
    throw refused(what, `is RSA with ${modulusLength} bits; 2048 are the least`)
  if (modulusLength > 16_384)
    throw refused(what, `is RSA with ${modulusLength} bits; 16384 are the most`)
  if (publicExponent < 65_537n || publicExponent % 2n === 0n || publicExponent >= 2n ** 64n)
    throw refused(what, `is RSA with the exponent ${shortened(publicExponent)}; 65537 is usual`)
  const weakness = rsaWeakness(modulusOf(key))
  if (weakness !== null) throw refused(what, `is RSA with a modulus that ${weakness}`)
  return `rsa${modulusLength}`
}

function modulusOf(key: KeyObject): bigint {
  const { n = '' } = key.export({ format: 'jwk' })
  return BigInt(`0x${Buffer.from(n, 'base64url').toString('hex')}`)
}

const shortened = (value: bigint): string =>
  value < 2n ** 64n ? value.toString() : 'of more than 64 bits'

function refused(what: string, fault: string): RootlingError {
  const sentence = `${what} ${fault}. Use P-256, P-384, P-521, Ed25519 or RSA from 2048 bits.`
  return new RootlingError('bad-key', sentence, { hint })
}
