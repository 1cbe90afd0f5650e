import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import type { JWK } from 'jose'
import { RootlingError } from '../errors.ts'
import { keyTypeOf } from '../x509/public-key.ts'
import { isObject } from './payload.ts'
import { AcmeProblem, detailOf, malformed } from './problems.ts'

/**
 * The signature algorithms of requests, each with the types of keys that it fits (RFC 7518, RFC
 * 8037).
 */
const algorithms: ReadonlyMap<string, RegExp> = new Map([
  ['ES256', /^p256$/],
  ['ES384', /^p384$/],
  ['RS256', /^rsa/],
  ['EdDSA', /^ed25519$/],
])
const supportedAlgorithms = [...algorithms.keys()]

/** A public key that was read from a JWS header. */
export interface AccountKey {
  readonly publicKey: KeyObject
  /** The type as `keyTypeOf` names it, such as `p256`. */
  readonly keyType: string
  /** The public key as node:crypto writes it, so that one key has one text and one thumbprint. */
  readonly jwk: JWK
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
    const jwk: JWK = publicKey.export({ format: 'jwk' })
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
const known = new WeakMap<JWK, AccountKey>()

/** Returns the key of an account, from its `jwk`. Throws what `readJwk` throws. */
export function accountKey(jwk: JWK): AccountKey {
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
 * Throws badSignatureAlgorithm for an algorithm that is unknown or does not fit the key, or
 * malformed when none is named.
 */
export function checkAlgorithm(name: unknown, key: AccountKey | null): void {
  if (typeof name !== 'string') throw malformed('The JWS names no algorithm (alg).')
  const keyType = algorithms.get(name)
  if (keyType === undefined)
    throw new AcmeProblem(
      'badSignatureAlgorithm',
      `The algorithm ${name.slice(0, 40)} is not supported; use one of ${supportedAlgorithms.join(', ')}.`,
      { algorithms: supportedAlgorithms },
    )
  if (key !== null && !keyType.test(key.keyType))
    throw new AcmeProblem(
      'badSignatureAlgorithm',
      `The algorithm ${name} is not for a key of the type ${key.keyType}.`,
      { algorithms: supportedAlgorithms.filter((one) => algorithms.get(one)?.test(key.keyType)) },
    )
}

/** Returns the thumbprint of a key (RFC 7638, SHA-256, base64url). */
export function thumbprintOf(jwk: JWK): string {
  const members = publicMembers.get(jwk.kty) ?? []
  // The members in the order of the alphabet, without spaces (RFC 7638 §3).
  const text = JSON.stringify(
    Object.fromEntries(members.map((name) => [name, (jwk as Record<string, unknown>)[name]])),
  )
  return createHash('sha256').update(text).digest('base64url')
}
