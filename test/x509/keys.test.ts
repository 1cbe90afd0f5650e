import { createPrivateKey, createPublicKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { generateKeys } from '../../src/x509/keys.ts'

test.each([
  ['p256', 'prime256v1'],
  ['p384', 'secp384r1'],
] as const)('%s keys are encoded as OpenSSL encodes them', async (type, namedCurve) => {
  // One secret in 256 begins with a zero octet, which must not be left out: until one was seen.
  let short = 0
  for (let i = 0; i < 10_000 && (i < 100 || short === 0); i++) {
    const { pkcs8, spki } = await generateKeys(type)
    const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
    expect(key.asymmetricKeyDetails?.namedCurve).toBe(namedCurve)
    expect(pkcs8.equals(key.export({ format: 'der', type: 'pkcs8' }))).toBe(true)
    expect(spki.equals(createPublicKey(key).export({ format: 'der', type: 'spki' }))).toBe(true)
    if (Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url')[0] === 0) short++
  }
  expect(short).toBeGreaterThan(0)
})
