import { generateKeyPairSync, sign, type KeyPairKeyObjectResult } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { verifyJws, type Jws } from '../../src/acme/jws.ts'
import { readJwk } from '../../src/acme/keys.ts'

const keyPairs = {
  ES256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ES384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  RS256: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  EdDSA: generateKeyPairSync('ed25519'),
}
const digests = { ES256: 'sha256', ES384: 'sha384', RS256: 'sha256', EdDSA: null }
type Name = keyof typeof keyPairs

const keyOf = ({ publicKey }: KeyPairKeyObjectResult) =>
  readJwk(publicKey.export({ format: 'jwk' }))

/** Signs `{"a":1}`. */
function signed(
  alg: Name,
  dsaEncoding: 'ieee-p1363' | 'der' = 'ieee-p1363',
  more: object = {},
): Jws {
  const header = { alg, ...more }
  const head = Buffer.from(JSON.stringify(header)).toString('base64url')
  const payload = Buffer.from('{"a":1}').toString('base64url')
  const how = { key: keyPairs[alg].privateKey, dsaEncoding }
  const signature = sign(digests[alg], Buffer.from(`${head}.${payload}`), how)
  return {
    header,
    flattened: { protected: head, payload, signature: signature.toString('base64url') },
  }
}

const withSignature = (jws: Jws, octets: Buffer): Jws => ({
  ...jws,
  flattened: { ...jws.flattened, signature: octets.toString('base64url') },
})

describe.each(['ES256', 'ES384', 'RS256', 'EdDSA'] as const)('%s', (alg) => {
  const key = keyOf(keyPairs[alg])

  test('is accepted', () => {
    expect(verifyJws(signed(alg), key)).toEqual({ a: 1 })
  })

  test('is refused with another key, another payload, or no signature', () => {
    const jws = signed(alg)
    const other = keyOf(
      alg === 'RS256' || alg === 'EdDSA'
        ? generateKeyPairSync(alg === 'RS256' ? 'rsa' : ('ed25519' as never), {
            modulusLength: 2048,
          })
        : generateKeyPairSync('ec', { namedCurve: alg === 'ES256' ? 'P-256' : 'P-384' }),
    )
    expect(() => verifyJws(jws, other)).toThrow('does not match')
    const payload = Buffer.from('{"a":2}').toString('base64url')
    const changed = { ...jws, flattened: { ...jws.flattened, payload } }
    expect(() => verifyJws(changed, key)).toThrow('does not match')
    expect(() => verifyJws(withSignature(jws, Buffer.alloc(0)), key)).toThrow('does not match')
  })

  test('is refused with a signature that is too short, too long, or of zeros', () => {
    const jws = signed(alg)
    const octets = Buffer.from(jws.flattened.signature, 'base64url')
    const wrong = [
      octets.subarray(1),
      Buffer.concat([octets, Buffer.alloc(1)]),
      Buffer.alloc(octets.length),
    ]
    for (const one of wrong)
      expect(() => verifyJws(withSignature(jws, one), key)).toThrow('does not match')
  })
})

test.each(['ES256', 'ES384'] as const)('%s is refused as DER (RFC 7518 section 3.4)', (alg) => {
  expect(() => verifyJws(signed(alg, 'der'), keyOf(keyPairs[alg]))).toThrow('does not match')
})

test.each([
  ['none at all', []],
  ['known ones', ['alg']],
  ['no list', 'b64'],
])('critical extensions are refused: %s', (_, crit) => {
  const jws = signed('ES256', 'ieee-p1363', { crit })
  expect(() => verifyJws(jws, keyOf(keyPairs.ES256))).toThrow('crit')
})
