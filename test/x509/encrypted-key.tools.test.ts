import { createPrivateKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { RootlingError } from '../../src/errors.ts'
import { encryptPkcs8 } from '../../src/x509/encrypted-key.ts'
import { generateKeys, keyTypes } from '../../src/x509/keys.ts'
import { pemBlocks } from '../../src/x509/pem.ts'
import { readPrivateKey } from '../../src/x509/private-key.ts'
import { workshop } from './strangers.ts'

const passphrase = 'correct hörse battery'

test.each(keyTypes)('a key of the type %s comes back in Node and in OpenSSL', async (type) => {
  const { openssl, write } = workshop()
  const { pkcs8 } = await generateKeys(type)
  const pem = await encryptPkcs8(pkcs8, passphrase)
  expect(pem).toMatch(/^-----BEGIN ENCRYPTED PRIVATE KEY-----\n/)
  const own = createPrivateKey({ key: pem, passphrase }).export({ type: 'pkcs8', format: 'der' })
  expect(own).toEqual(pkcs8)
  write('pass', passphrase)
  const plain = await openssl('pkey', '-in', write('key.pem', pem), '-passin', 'file:pass')
  expect(pemBlocks(plain)[0]?.der).toEqual(pkcs8)
  expect(readPrivateKey(pem, passphrase).keyType).toBe(type)
})

test('OpenSSL sees 600,000 rounds of PBKDF2, AES-256, and refuses another passphrase', async () => {
  const { openssl, run, write } = workshop()
  const { pkcs8 } = await generateKeys('p256')
  write('key.pem', await encryptPkcs8(pkcs8, passphrase))
  write('wrong', 'correct horse battery')
  const dump = await openssl('asn1parse', '-in', 'key.pem')
  expect(dump).toContain('aes-256-cbc')
  expect(dump).toContain('hmacWithSHA256')
  expect(dump).toMatch(/INTEGER +:0927C0/) // 600,000
  const refused = await run('openssl', 'pkey', '-in', 'key.pem', '-passin', 'file:wrong')
  expect(refused.exitCode).not.toBe(0)
})

test('two encryptions of a key differ', async () => {
  const { pkcs8 } = await generateKeys('p256')
  const texts = [await encryptPkcs8(pkcs8, passphrase), await encryptPkcs8(pkcs8, passphrase)]
  expect(texts[0]).not.toBe(texts[1])
})

test.each([
  ['', 'is empty'],
  ['s3cret\nsecond line', 'has several lines'],
  ['s3cret\0', 'has several lines'],
  ['s3cret'.repeat(167), 'is too long'],
])('the passphrase %j is refused without being quoted', async (bad, fault) => {
  const { pkcs8 } = await generateKeys('p256')
  const error: unknown = await encryptPkcs8(pkcs8, bad).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(RootlingError)
  expect(error).toMatchObject({ code: 'usage', message: `The passphrase for the key ${fault}.` })
})
