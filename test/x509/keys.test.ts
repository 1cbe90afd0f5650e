import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { generateKeys, isSameKey } from '../../src/x509/keys.ts'

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

test('keys are compared without an effect on the next one that is read', () => {
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = ec.privateKey.export({ type: 'pkcs8', format: 'pem' })
  const others = [
    generateKeyPairSync('rsa', { modulusLength: 2048 }),
    generateKeyPairSync('ed25519'),
    generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  ]
  for (const other of others) {
    expect(isSameKey(ec.publicKey, other.publicKey)).toBe(false)
    expect(isSameKey(createPublicKey(createPrivateKey(pem)), ec.publicKey)).toBe(true)
  }
})

test('nothing compares keys by their own equals, which has one', () => {
  const root = join(import.meta.dirname, '../..')
  const sources = ['src', 'platform'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => join(root, folder, file)),
  )
  const calls = (text: string): boolean => /\b\w*key\.equals\(/i.test(text)
  expect(sources.length).toBeGreaterThan(100)
  expect(sources.filter((file) => calls(readFileSync(file, 'utf8')))).toEqual([])
  expect(calls('if (csr.publicKey.equals(key)) return')).toBe(true)
})
