import { createHash, createPrivateKey, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import { generateKeys, type KeyType } from '../../src/x509/keys.ts'
import { encodePem, pemBlocks } from '../../src/x509/pem.ts'
import { makePkcs12, makeTrustStore, randomPassword } from '../../src/x509/pkcs12.ts'
import { workshop, type Workshop } from './strangers.ts'

interface Chain {
  readonly chain: readonly [leaf: Buffer, root: Buffer]
  readonly pkcs8: Buffer
}

/** A root and a leaf for localhost that OpenSSL made. */
async function opensslChain({ write, read, openssl }: Workshop, type: KeyType): Promise<Chain> {
  const root = await generateKeys('p256')
  const { pkcs8 } = await generateKeys(type)
  write('root.key', encodePem('PRIVATE KEY', root.pkcs8))
  write('leaf.key', encodePem('PRIVATE KEY', pkcs8))
  const base = ['req', '-x509', '-days', '30', '-sha256', '-utf8']
  await openssl(...base, '-key', 'root.key', '-subj', '/CN=A root', '-out', 'root.pem')
  const issuer = ['-CA', 'root.pem', '-CAkey', 'root.key', '-addext', 'basicConstraints=CA:FALSE']
  const name = ['-addext', 'subjectAltName=DNS:localhost', '-subj', '/O=A leaf']
  await openssl(...base, '-key', 'leaf.key', ...issuer, ...name, '-out', 'leaf.pem')
  const der = (file: string) => new X509Certificate(read(file)).raw
  return { chain: [der('leaf.pem'), der('root.pem')], pkcs8 }
}

const passwords = ['correct horse', 'pässwörd € 🙂']
const kinds = [false, true].flatMap((legacy) => passwords.map((password) => ({ legacy, password })))

describe.each(kinds)('legacy $legacy, the password "$password"', ({ legacy, password }) => {
  test('OpenSSL opens it, and no other password does', async () => {
    const shop = workshop()
    const { chain, pkcs8 } = await opensslChain(shop, 'p256')
    const p12 = await makePkcs12({ chain, pkcs8, password, friendlyName: 'Größe', legacy })
    shop.write('file.p12', p12)
    shop.write('pass', password)
    shop.write('wrong', `${password}.`)
    const args = ['pkcs12', '-in', 'file.p12', '-info', '-nodes', '-passin']
    const { exitCode, text, stdout } = await shop.run('openssl', ...args, 'file:pass')
    expect(text).toContain(legacy ? 'MAC: sha1, Iteration 10000' : 'MAC: sha256, Iteration 100000')
    expect(text).toContain(
      legacy
        ? 'pbeWithSHA1And3-KeyTripleDES-CBC, Iteration 10000'
        : 'PBES2, PBKDF2, AES-256-CBC, Iteration 100000, PRF hmacWithSHA256',
    )
    expect(exitCode).toBe(0)
    expect(text).toMatch(/localKeyID: ([0-9A-F ]+)[^]*localKeyID: \1/)
    const blocks = pemBlocks(stdout)
    const certificates = blocks.filter(({ label }) => label === 'CERTIFICATE')
    expect(certificates.map(({ der }) => der)).toEqual(chain)
    expect(blocks.find(({ label }) => label === 'PRIVATE KEY')?.der).toEqual(pkcs8)
    const refused = await shop.run('openssl', ...args, 'file:wrong')
    expect(refused.exitCode).not.toBe(0)
    expect(refused.text).toContain('invalid password')
  })

  test('keytool lists a PrivateKeyEntry with its chain, and imports it, where it can', async () => {
    const shop = workshop()
    const { chain, pkcs8 } = await opensslChain(shop, 'p256')
    const fields = { chain, pkcs8, password, friendlyName: 'My Server', legacy }
    shop.write('file.p12', await makePkcs12(fields))
    const listed = await keytool(shop, password, '-list', '-v', '-keystore', 'file.p12')
    if (password !== passwords[0]) {
      // Java's own rule, for the files of everybody.
      expect(listed.text).toContain('Password is not ASCII')
      return
    }
    expect(listed.text).toContain('Alias name: my server')
    expect(listed.text).toContain('Entry type: PrivateKeyEntry')
    expect(listed.text).toContain('Certificate chain length: 2')
    const destination = ['-destkeystore', 'copy.p12', '-deststorepass:env', 'DEST']
    const source = ['-importkeystore', '-srckeystore', 'file.p12', '-srcstorepass:env', 'PASS']
    const imported = await javaRun(shop, password, ...source, ...destination)
    expect(imported.text).toContain('1 entries successfully imported')
    const wrong = await keytool(shop, 'wrong password', '-list', '-keystore', 'file.p12')
    expect(wrong.exitCode).not.toBe(0)
  })

  test('NSS lists and imports it, and no other password does', async () => {
    const shop = workshop()
    const { chain, pkcs8 } = await opensslChain(shop, 'p256')
    const p12 = await makePkcs12({ chain, pkcs8, password, friendlyName: 'My Server', legacy })
    shop.write('file.p12', p12)
    shop.write('pass', password)
    shop.write('wrong', 'wrong password')
    shop.write('empty', '')
    const db = ['-d', 'sql:.', '-k', 'empty']
    expect(await shop.run('certutil', '-N', '-d', 'sql:.', '--empty-password')).toMatchObject({
      exitCode: 0,
    })
    const listed = await shop.run('pk12util', '-l', 'file.p12', ...db, '-w', 'pass')
    expect(listed.text).toContain('Friendly Name: My Server')
    const refused = await shop.run('pk12util', '-i', 'file.p12', ...db, '-w', 'wrong')
    expect(refused.exitCode).not.toBe(0)
    const imported = await shop.run('pk12util', '-i', 'file.p12', ...db, '-w', 'pass')
    expect(imported.text).toContain('PKCS12 IMPORT SUCCESSFUL')
    const keys = await shop.run('certutil', '-K', '-d', 'sql:.')
    expect(keys.text).toContain('My Server')
  })

  test('Node serves with it, and its client trusts the chain', async () => {
    const shop = workshop()
    const { chain, pkcs8 } = await opensslChain(shop, 'p256')
    const pfx = await makePkcs12({ chain, pkcs8, password, friendlyName: 'x', legacy })
    expect(() => createServer({ pfx, passphrase: 'wrong password' })).toThrow('mac verify failure')
    const server = createServer({ pfx, passphrase: password }, (socket) => socket.end())
    onTestFinished(() => void server.close())
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    const client = connect({
      port,
      host: '127.0.0.1',
      servername: 'localhost',
      ca: shop.read('root.pem'),
    })
    await once(client, 'secureConnect')
    expect(client.authorized).toBe(true)
    client.destroy()
  })
})

/** The password stands in the environment, as PASS. */
const javaRun = (shop: Workshop, password: string, ...args: string[]) =>
  shop.runIn({ PASS: password, DEST: 'destination' }, 'keytool', '-J-Duser.language=en', ...args)
const keytool = (shop: Workshop, password: string, ...args: string[]) =>
  javaRun(shop, password, ...args, '-storepass:env', 'PASS')

test.each(['p384', 'rsa2048', 'ed25519'] as const)(
  'OpenSSL and keytool open the key and chain of the type %s',
  async (type) => {
    const shop = workshop()
    const { chain, pkcs8 } = await opensslChain(shop, type)
    const password = randomPassword()
    shop.write('file.p12', await makePkcs12({ chain, pkcs8, password, friendlyName: 'x' }))
    shop.write('pass', password)
    const text = await shop.openssl('pkcs12', '-in', 'file.p12', '-noenc', '-passin', 'file:pass')
    const key = pemBlocks(text).find(({ label }) => label === 'PRIVATE KEY')
    expect(key?.der).toEqual(pkcs8)
    const listed = await keytool(shop, password, '-list', '-keystore', 'file.p12')
    expect(listed.text).toContain('PrivateKeyEntry')
    expect(new X509Certificate(chain[0]).checkPrivateKey(createPrivateKey(key?.text ?? ''))).toBe(
      true,
    )
  },
)

test('keytool trusts the roots of a trust store, each under its name', async () => {
  const shop = workshop()
  const { chain } = await opensslChain(shop, 'p256')
  const roots = [
    { der: chain[1], friendlyName: 'one root' },
    { der: chain[0], friendlyName: 'another' },
  ]
  const password = randomPassword()
  shop.write('trust.p12', await makeTrustStore({ roots, password }))
  const listed = await keytool(shop, password, '-list', '-keystore', 'trust.p12')
  expect(listed.text).toContain('contains 2 entries')
  expect(listed.text).toMatch(/one root, .*trustedCertEntry/)
  expect(listed.text).toMatch(/another, .*trustedCertEntry/)
  const fingerprint = createHash('sha256').update(chain[1]).digest('hex').toUpperCase()
  expect(listed.text.replaceAll(':', '')).toContain(fingerprint)
  const wrong = await keytool(shop, 'wrong password', '-list', '-keystore', 'trust.p12')
  expect(wrong.exitCode).not.toBe(0)
  shop.write('pass', password)
  const text = await shop.openssl('pkcs12', '-in', 'trust.p12', '-nokeys', '-passin', 'file:pass')
  expect(pemBlocks(text).map(({ der }) => der)).toEqual(roots.map(({ der }) => der))
})

test('a trust store with a password that Java cannot take is refused', async () => {
  await expect(makeTrustStore({ roots: [], password: 'pässwörd' })).rejects.toMatchObject({
    code: 'usage',
    message: 'Java takes only ASCII passwords.',
  })
})

test('an empty password, one of several lines, and an empty chain are refused', async () => {
  const { pkcs8 } = await generateKeys('p256')
  const fields = { chain: [Buffer.of(0x30, 0)], pkcs8, password: 'x', friendlyName: 'x' }
  for (const password of ['', 's3cret\n', 's3cret'.repeat(200)]) {
    const made = makePkcs12({ ...fields, password })
    await expect(made).rejects.toMatchObject({
      code: 'usage',
      message: 'This cannot be the password of a PKCS #12 file.',
    })
  }
  await expect(makePkcs12({ ...fields, chain: [] })).rejects.toMatchObject({ code: 'usage' })
})

test('random passwords are long, without lookalikes, and never the same', () => {
  const made = Array.from({ length: 200 }, randomPassword)
  for (const password of made)
    expect(password).toMatch(/^[a-hjkmnp-z2-9]{5}(?:-[a-hjkmnp-z2-9]{5}){4}$/)
  expect(new Set(made).size).toBe(200)
})
