import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { keyTypeOf } from '../x509/public-key.ts'
import { isObject } from './payload.ts'
import { AcmeProblem, detailOf, malformed } from './problems.ts'

/** A signature algorithm of requests. */
interface Algorithm {
  /** The types of keys that it fits. */
  readonly keyTypes: RegExp
  /** The hash, as node:crypto names it; `null`: the algorithm has its own. */
  readonly digest: string | null
}

/** RFC 7518 §3.1, and RFC 8037 §3.1. */
const algorithms: ReadonlyMap<string, Algorithm> = new Map([
  ['ES256', { keyTypes: /^p256$/, digest: 'sha256' }],
  ['ES384', { keyTypes: /^p384$/, digest: 'sha384' }],
  ['RS256', { keyTypes: /^rsa/, digest: 'sha256' }],
  ['EdDSA', { keyTypes: /^ed25519$/, digest: null }],
])
const supportedAlgorithms = [...algorithms.keys()]

/** A public key that was read from a JWS header. */
export interface AccountKey {
  readonly publicKey: KeyObject
  /** The type as `keyTypeOf` names it, such as `p256`. */
  readonly keyType: string
  /** The public key as node:crypto writes it, so that one key has one text and one thumbprint. */
  readonly jwk: JsonWebKey
}

/**
 * Reads a public key; members that do not belong to it, such as kid, are dropped. Throws malformed, or
 * badPublicKey for a private or a weak key (RFC 8555 §6.2), or one in another form than that of RFC 7518
 * §6: each form of a key would have an account of its own.
 */
export function readJwk(value: unknown): AccountKey {
  if (!isObject(value)) throw malformed('The key (jwk) is not an object.')
  const key = value
  if ('d' in key || 'k' in key)
    throw new AcmeProblem('badPublicKey', 'The key (jwk) is not a public one.')
  const members = publicMembers.get(key['kty'])
  if (members === undefined)
    throw new AcmeProblem('badPublicKey', `The key's type (kty) is none of EC, RSA and OKP.`)
  const given = Object.fromEntries(members.map((name) => [name, key[name]]))
  try {
    const publicKey = createPublicKey({ key: given as never, format: 'jwk' })
    const jwk: JsonWebKey = publicKey.export({ format: 'jwk' })
    const strange = members.find((name) => given[name] !== (jwk as typeof given)[name])
    if (strange !== undefined)
      throw new AcmeProblem(
        'badPublicKey',
        `The member ${strange} of the key (jwk) is not in the one form that RFC 7518 has for it.`,
      )
    const understood = { publicKey, keyType: keyTypeOf(publicKey, "The account's key"), jwk }
    known.set(jwk, understood)
    return understood
  } catch (error) {
    if (error instanceof AcmeProblem) throw error
    const detail =
      error instanceof RootlingError ? detailOf(error) : 'The key (jwk) cannot be understood.'
    throw new AcmeProblem('badPublicKey', detail, { cause: error })
  }
}

/**
 * The keys that were read, by their `jwk`, the object that an account keeps. So each is read once.
 */
const known = new WeakMap<JsonWebKey, AccountKey>()

/** Returns the key of an account, from its `jwk`. Throws what `readJwk` throws. */
export function accountKey(jwk: JsonWebKey): AccountKey {
  const key = known.get(jwk) ?? readJwk(jwk)
  known.set(jwk, key)
  return key
}

/** The members that make a public key (RFC 7638 §3.2); no others are kept. */
const publicMembers: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['EC', ['crv', 'kty', 'x', 'y']],
  ['RSA', ['e', 'kty', 'n']],
  ['OKP', ['crv', 'kty', 'x']],
])

/**
 * Returns a request's signature algorithm. Throws badSignatureAlgorithm for one that is unknown or
 * does not fit the key, or malformed when none is named.
 */
export function algorithmOf(name: unknown, key: AccountKey | null): Algorithm {
  if (typeof name !== 'string') throw malformed('The JWS names no algorithm (alg).')
  const algorithm = algorithms.get(name)
  if (algorithm === undefined)
    throw new AcmeProblem(
      'badSignatureAlgorithm',
      `The algorithm ${name.slice(0, 40)} is not supported; use one of ${supportedAlgorithms.join(', ')}.`,
      { algorithms: supportedAlgorithms },
    )
  if (key === null || algorithm.keyTypes.test(key.keyType)) return algorithm
  const fits = (one: string): boolean => algorithms.get(one)?.keyTypes.test(key.keyType) === true
  throw new AcmeProblem(
    'badSignatureAlgorithm',
    `The algorithm ${name} is not for a key of the type ${key.keyType}.`,
    { algorithms: supportedAlgorithms.filter(fits) },
  )
}

/** Returns the thumbprint of a key (RFC 7638, SHA-256, base64url). */
export function thumbprintOf(jwk: JsonWebKey): string {
  const members = publicMembers.get(jwk.kty) ?? []
  // The members in the order of the alphabet, without spaces (RFC 7638 §3).
  const text = JSON.stringify(
    Object.fromEntries(members.map((name) => [name, (jwk as Record<string, unknown>)[name]])),
  )
  return createHash('sha256').update(text).digest('base64url')
}
