import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadKeyPair } from '../../src/server/key-pair.ts'
import { OpensslAuthority, type Issued } from '../helpers/openssl-authority.ts'

const day = 86_400_000
const now = new Date()
const from = { certificateFile: 'server.pem', keyFile: 'server-key.pem' }
let authority: OpensslAuthority
let good: Issued

beforeAll(() => {
  authority = new OpensslAuthority()
  good = authority.leaf('good')
})
afterAll(() => authority.remove())

function refusal(cert: string, key: string): unknown {
  try {
    return loadKeyPair(cert, key, now, from)
  } catch (error) {
    return error
  }
}

describe('loadKeyPair', () => {
  test('reads a chain and its key, also from one file, and warns of nothing', () => {
    const roots = [authority.get('root').cert]
    const pair = loadKeyPair(good.cert, good.key, now, { ...from, roots })
    expect(pair.chain.map((certificate) => certificate.subject)).toEqual([
      'CN=good',
      'CN=intermediate',
    ])
    expect(pair.warnings).toEqual([])
    const both = good.key + good.cert
    expect(loadKeyPair(both, both, now).leaf.subject).toBe('CN=good')
  })

  test('refuses another certificate’s key', () => {
    const other = authority.leaf('other')
    expect(refusal(good.cert, other.key)).toMatchObject({
      code: 'bad-key',
      message: 'server-key.pem is not the key of server.pem.',
    })
  })

  test('names the certificate that the key belongs to when the order is wrong', () => {
    const [leaf = '', intermediate = ''] = good.cert.split(/(?<=-----END CERTIFICATE-----\n)/)
    expect(refusal(intermediate + leaf, good.key)).toMatchObject({
      code: 'bad-key',
      message: 'server-key.pem is the key of certificate 2 in server.pem, not of its first.',
    })
  })

  test('refuses expired and not yet valid certificates with the date', () => {
    const expired = authority.leaf('expired', {
      notBefore: new Date('2020-01-01'),
      notAfter: new Date('2020-02-01'),
    })
    expect(refusal(expired.cert, expired.key)).toMatchObject({
      code: 'bad-certificate',
      message: 'server.pem expired on 2020-02-01 00:00 UTC.',
    })
    const future = authority.leaf('future', {
      notBefore: new Date('2045-01-01'),
      notAfter: new Date('2045-02-01'),
    })
    expect(refusal(future.cert, future.key)).toMatchObject({
      code: 'bad-certificate',
      message: 'server.pem is not valid before 2045-01-01 00:00 UTC.',
    })
    expect(loadKeyPair(expired.cert, expired.key, new Date('2020-01-15')).leaf.subject).toBe(
      'CN=expired',
    )
  })

  test('says what a file lacks, and when the two were swapped', () => {
    expect(refusal('hello', good.key)).toMatchObject({
      code: 'bad-certificate',
      message: 'server.pem holds no PEM certificate.',
    })
    expect(refusal(good.key, good.cert)).toMatchObject({
      hint: 'It holds a key: were --cert and --key swapped?',
    })
    expect(refusal(good.cert, 'hello')).toMatchObject({
      code: 'bad-key',
      message: 'server-key.pem holds no PEM private key.',
    })
    const torn = good.cert.replace(/^(.{80,}?\n[^\n]{10})/s, '$1!!!!')
    expect(refusal(torn, good.key)).toMatchObject({ code: 'bad-certificate' })
  })

  test('refuses encrypted keys of both formats and says how to decrypt them', () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    for (const type of ['pkcs8', 'sec1'] as const) {
      const key = privateKey.export({ type, format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
      expect(refusal(good.cert, key.toString())).toMatchObject({
        code: 'bad-key',
        message: 'server-key.pem is encrypted; a server needs it unencrypted.',
        hint: 'openssl pkey -in server-key.pem -out plain-key.pem',
      })
    }
  })

  test('warns of a missing intermediate, of strangers in the file and of the wrong purpose', () => {
    const roots = [authority.get('root').cert]
    const [leaf = ''] = good.cert.split(/(?<=-----END CERTIFICATE-----\n)/)
    const codes = (cert: string, key: string): string[] =>
      loadKeyPair(cert, key, now, { ...from, roots }).warnings.map(({ code }) => code)
    expect(codes(leaf, good.key)).toEqual(['intermediate-missing'])
    expect(codes(leaf + authority.get('stranger').cert, good.key)).toEqual([
      'unrelated-certificate',
      'intermediate-missing',
    ])
    const direct = authority.leaf('direct', { issuer: 'root' })
    expect(codes(direct.cert, direct.key)).toEqual([])
    const client = authority.leaf('client', { extensions: ['extendedKeyUsage=clientAuth'] })
    expect(codes(client.cert, client.key)).toEqual(['not-for-servers'])
  })
})

test('the validity bounds are inclusive', () => {
  const notBefore = new Date(Math.floor(Date.now() / 1000) * 1000)
  const pair = authority.leaf('bounds', {
    notBefore,
    notAfter: new Date(notBefore.getTime() + day),
  })
  expect(loadKeyPair(pair.cert, pair.key, notBefore).leaf.subject).toBe('CN=bounds')
  expect(() => loadKeyPair(pair.cert, pair.key, new Date(notBefore.getTime() - 1))).toThrow(
    'is not valid before',
  )
})
