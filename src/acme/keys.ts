import { createPublicKey, type KeyObject } from 'node:crypto'
import type { JWK } from 'jose'
import { RootlingError } from '../errors.ts'
import { keyTypeOf } from '../x509/public-key.ts'
import { AcmeProblem, detailOf, malformed } from './problems.ts'

/** The signature algorithms of requests, each with the keys that it is for (RFC 7518, RFC 8037). */
const algorithms: ReadonlyMap<string, RegExp> = new Map([
  ['ES256', /^p256$/],
  ['ES384', /^p384$/],
  ['RS256', /^rsa/],
  ['EdDSA', /^ed25519$/],
])
const supportedAlgorithms = [...algorithms.keys()]

/** A public key in the form that a JWS header has it, understood. */
export interface AccountKey {
  readonly publicKey: KeyObject
  /** As `readPublicKey` has it. */
  readonly keyType: string
  /** Its public members alone. */
  readonly jwk: JWK
}

/** Throws badPublicKey for what is no public key, or a weak one (RFC 8555 §6.2). */
export function readJwk(value: unknown): AccountKey {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw malformed('The key (jwk) is not an object.')
  const key = value as Record<string, unknown>
  if ('d' in key || 'k' in key)
    throw new AcmeProblem('badPublicKey', 'The key (jwk) is not a public one.')
  const members = publicMembers.get(key['kty'])
  if (members === undefined)
    throw new AcmeProblem('badPublicKey', `The key's type (kty) is none of EC, RSA and OKP.`)
  const jwk = Object.fromEntries(members.map((name) => [name, key[name]])) as unknown as JWK
  try {
    const publicKey = createPublicKey({ key: jwk as never, format: 'jwk' })
    const understood = { publicKey, keyType: keyTypeOf(publicKey, "The account's key"), jwk }
    known.set(jwk, understood)
    return understood
  } catch (error) {
    const detail =
      error instanceof RootlingError ? detailOf(error) : 'The key (jwk) cannot be understood.'
    throw new AcmeProblem('badPublicKey', detail, { cause: error })
  }
}

/** By the `jwk` of each, which is the object that an account keeps: each key is understood once. */
const known = new WeakMap<JWK, AccountKey>()

/** The key of an account. Throws what `readJwk` throws. */
export function accountKey(jwk: JWK): AccountKey {
  const key = known.get(jwk) ?? readJwk(jwk)
  known.set(jwk, key)
  return key
}

/** RFC 7638 §3.2: the members that make the key, which are all that is kept of it. */
const publicMembers: ReadonlyMap<unknown, readonly string[]> = new Map([
  ['EC', ['crv', 'kty', 'x', 'y']],
  ['RSA', ['e', 'kty', 'n']],
  ['OKP', ['crv', 'kty', 'x']],
])

/** Throws for algorithms that are not supported, with those that are, and for another key's. */
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

/** RFC 7638, SHA-256, base64url. */
export async function thumbprintOf(jwk: JWK): Promise<string> {
  const { calculateJwkThumbprint } = await import('jose')
  return calculateJwkThumbprint(jwk)
}
