import {
  checkPrimeSync,
  createPublicKey,
  generateKeyPairSync,
  generatePrimeSync,
} from 'node:crypto'
import { expect, test } from 'vitest'
import type { RootlingError } from '../../src/errors.ts'
import { readPublicKey } from '../../src/x509/public-key.ts'
import { readJwk } from '../../src/acme/keys.ts'

const jwkOf = (modulus: bigint) => {
  const hex = modulus.toString(16)
  const n = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex')
  return { kty: 'RSA', n: n.toString('base64url'), e: 'AQAB' }
}

/** What `readPublicKey` says against a key with this modulus; `null`: nothing. */
function refusal(modulus: bigint): string | null {
  const key = createPublicKey({ key: jwkOf(modulus), format: 'jwk' })
  try {
    readPublicKey(key.export({ format: 'der', type: 'spki' }), "The request's key")
    return null
  } catch (error) {
    expect(error).toMatchObject({ code: 'bad-key' })
    return (error as RootlingError).message
  }
}

const sentence = (fault: string) =>
  `The request's key is RSA with a modulus that ${fault}. Use P-256, P-384, P-521, Ed25519 or RSA from 2048 bits.`
const prime = () => generatePrimeSync(1024, { bigint: true })

function nextPrime(from: bigint): bigint {
  let candidate = from | 1n
  do candidate += 2n
  while (!checkPrimeSync(candidate))
  return candidate
}

function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n
  let square = base % modulus
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = (result * square) % modulus
    square = (square * square) % modulus
  }
  return result
}

/** A number as Infineon's chips chose primes: k·M + 65537^a mod M, for M of the primes up to 701. */
function rocaNumber(a: bigint, k: bigint): bigint {
  let product = 1n
  for (let number = 2n; number <= 701n; number++) if (checkPrimeSync(number)) product *= number
  return k * product + power(65_537n, a, product)
}

test('a modulus with a factor below 752 is refused, and one with a larger factor is read', () => {
  for (const factor of [3n, 5n, 167n, 751n])
    expect(refusal(factor * prime() * prime())).toBe(sentence(`is divisible by ${factor}`))
  expect(refusal(757n * prime() * prime())).toBeNull()
})

test('the product of close primes is refused', () => {
  const close = sentence('is the product of two primes close to each other')
  const first = prime() | (1n << 1023n) | (1n << 1022n)
  const one = nextPrime(first)
  expect(refusal(one * one)).toBe(close)
  expect(refusal(one * nextPrime(one))).toBe(close)
  // A hundred rounds find primes whose distance is a little above the fourth root of the modulus.
  expect(refusal(one * nextPrime(one + (1n << 510n)))).toBe(close)
  expect(refusal(one * nextPrime(one - (1n << 600n)))).toBeNull()
})

test('a modulus of the form of CVE-2017-15361 is refused', () => {
  const modulus = rocaNumber(123_456_789n, 3n << 52n) * rocaNumber(987_654_321n, 5n << 53n)
  expect(modulus.toString(2).length).toBeGreaterThanOrEqual(2048)
  expect(refusal(modulus)).toBe(
    sentence(
      'a faulty chip made, from which others can calculate the private key (CVE-2017-15361)',
    ),
  )
})

test('an ACME account gets no such key either, and any honest key is read', () => {
  expect(() => readJwk(jwkOf(3n * prime() * prime()))).toThrow('is divisible by 3')
  for (const modulusLength of [2048, 3072]) {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength })
    expect(readJwk(publicKey.export({ format: 'jwk' })).keyType).toBe(`rsa${modulusLength}`)
  }
})
