import { createPrivateKey, X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { RootlingError } from '../../src/errors.ts'
import { parseIdentifier } from '../../src/x509/identifier.ts'
import { generateKeys, keyTypes } from '../../src/x509/keys.ts'
import { encodePem, pemBlocks } from '../../src/x509/pem.ts'
import { makeRequest, readRequest } from '../../src/x509/request.ts'
import { workshop, type Workshop } from './strangers.ts'

const san = ['-addext', 'subjectAltName=DNS:localhost,DNS:*.app.test,IP:127.0.0.1,IP:::1']
const sanNames = ['dns:localhost', 'dns:*.app.test', 'ip:127.0.0.1', 'ip:::1']

const p256 = ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256']
const rsa = ['RSA', '-pkeyopt', 'rsa_keygen_bits:2048']

/** A request that OpenSSL made, in PEM. */
async function opensslRequest(
  { openssl, read }: Workshop,
  key: readonly string[],
  ...args: string[]
): Promise<Buffer> {
  await openssl('genpkey', '-algorithm', ...key, '-out', 'key.pem')
  const subject = args.includes('-subj') ? [] : ['-subj', '/']
  await openssl('req', '-new', '-key', 'key.pem', ...subject, ...args, '-out', 'request.pem')
  return read('request.pem')
}

const names = (request: Buffer | string) =>
  readRequest(request).names.map(({ type, value }) => `${type}:${value}`)

const pss = ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32']

test.each([
  [rsa, [], 'rsa2048'],
  [['RSA', '-pkeyopt', 'rsa_keygen_bits:3072'], ['-sha384'], 'rsa3072'],
  [rsa, ['-sha512'], 'rsa2048'],
  [rsa, pss, 'rsa2048'],
  [rsa, ['-sha512', ...pss], 'rsa2048'],
  [rsa, ['-sha256', '-sigopt', 'rsa_padding_mode:pss'], 'rsa2048'],
  [p256, [], 'p256'],
  [['EC', '-pkeyopt', 'ec_paramgen_curve:P-384'], ['-sha384'], 'p384'],
  [['EC', '-pkeyopt', 'ec_paramgen_curve:P-521'], ['-sha512'], 'p521'],
  [['ED25519'], [], 'ed25519'],
])('reads the request of an OpenSSL key %j, signed with %j: %s', async (key, how, keyType) => {
  const shop = workshop()
  const request = readRequest(await opensslRequest(shop, key, ...san, ...how))
  expect(request.keyType).toBe(keyType)
  expect(request.names.map(({ type, value }) => `${type}:${value}`)).toEqual(sanNames)
  const spki = pemBlocks(await shop.openssl('pkey', '-in', 'key.pem', '-pubout'))[0]?.der
  expect(request.spki).toEqual(spki)
  expect(request.publicKey.export({ type: 'spki', format: 'der' })).toEqual(spki)
})

test('a compressed point becomes an uncompressed one', async () => {
  const shop = workshop()
  await shop.openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', 'plain.pem')
  await shop.openssl('ec', '-in', 'plain.pem', '-conv_form', 'compressed', '-out', 'key.pem')
  await shop.openssl('req', '-new', '-key', 'key.pem', '-subj', '/', ...san, '-out', 'request.pem')
  const { spki, keyType } = readRequest(shop.read('request.pem'))
  const plain = await shop.openssl('ec', '-in', 'plain.pem', '-pubout')
  expect(keyType).toBe('p256')
  expect(spki).toEqual(pemBlocks(plain)[0]?.der)
})

test('DER, keytool’s label, a text around the block and Windows line ends are read', async () => {
  const shop = workshop()
  const pem = (await opensslRequest(shop, p256, ...san)).toString()
  const der = pemBlocks(pem)[0]?.der ?? Buffer.alloc(0)
  expect(names(der)).toEqual(sanNames)
  expect(names(encodePem('NEW CERTIFICATE REQUEST', der))).toEqual(sanNames)
  expect(names(`Certificate Request:\n${pem.replaceAll('\n', '\r\n')}\n`)).toEqual(sanNames)
})

test('keytool’s own request is read', async () => {
  const shop = workshop()
  const store = ['-keystore', 'store.p12', '-storepass:env', 'PASS']
  const keytool = (...args: string[]) =>
    shop.runIn({ PASS: 'password' }, 'keytool', '-J-Duser.language=en', ...args, ...store)
  await keytool('-genkeypair', '-alias', 'me', '-keyalg', 'EC', '-dname', 'CN=Me')
  await keytool('-certreq', '-alias', 'me', '-ext', 'san=dns:localhost', '-file', 'request.pem')
  expect(names(shop.read('request.pem'))).toEqual(['dns:localhost'])
})

test.each([
  [['-subj', '/O=Acme/CN=app.test'], ['dns:app.test']],
  [['-subj', '/CN=10.0.0.1'], ['ip:10.0.0.1']],
  [['-subj', '/CN=My server'], []],
  [['-subj', '/CN=alice@example.test'], []],
  [['-subj', '/CN=other.test', ...san], sanNames],
  [['-addext', 'subjectAltName=DNS:A.test,DNS:a.TEST'], ['dns:a.test']],
  [
    ['-addext', 'subjectAltName=email:a@b.test,URI:spiffe://x.test/a'],
    ['email:a@b.test', 'uri:spiffe://x.test/a'],
  ],
  [[], []],
])('openssl req %j names %j', async (args, expected) => {
  expect(names(await opensslRequest(workshop(), p256, ...args))).toEqual(expected)
})

test('usages, CA:FALSE, a key identifier and a challenge password are passed over', async () => {
  const shop = workshop()
  const section = 'keyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=serverAuth'
  const more = 'basicConstraints=critical,CA:FALSE\nsubjectKeyIdentifier=hash'
  const config = `[req]\ndistinguished_name=dn\nattributes=more\nreq_extensions=ext\nprompt=no\n[dn]\nCN=x.test\n[more]\nchallengePassword=s3cret!\nunstructuredName=A name\n[ext]\n${section}\n${more}\nsubjectAltName=DNS:localhost\n`
  shop.write('request.cnf', config)
  await shop.openssl('genpkey', '-algorithm', ...p256, '-out', 'key.pem')
  await shop.openssl('req', '-new', '-key', 'key.pem', '-config', 'request.cnf', '-out', 'r.pem')
  expect(names(shop.read('r.pem'))).toEqual(['dns:localhost'])
})

test.each([
  ['IIS', '1.2.840.113549.1.9.15=DER:300c300a06082a864886f70d0307'],
  ['certreq with the name of a template', '1.3.6.1.4.1.311.20.2=DER:1e0400570065'],
  ['certreq with a template', '1.3.6.1.4.1.311.21.7=DER:300706052a03040506'],
  ['certreq with policies', '1.3.6.1.4.1.311.21.10=DER:300c300a06082b06010505070301'],
])('what Windows adds by itself is passed over: %s', async (_, extension) => {
  const request = await opensslRequest(workshop(), p256, ...san, '-addext', extension)
  expect(names(request)).toEqual(sanNames)
})

function refusal(request: Buffer | string): RootlingError {
  try {
    readRequest(request)
  } catch (error) {
    if (error instanceof RootlingError) return error
    throw error
  }
  throw new Error('the request was read')
}

describe('asking for more than names', () => {
  const authority = 'The request asks to be a certificate authority.'
  const signs = 'The request asks for a key that signs certificates.'
  const never = (oid: string) => `The request asks for an extension that is never given (${oid}).`
  test.each([
    ['basicConstraints=critical,CA:TRUE', authority],
    ['basicConstraints=CA:TRUE,pathlen:0', authority],
    ['keyUsage=digitalSignature,keyCertSign', signs],
    ['keyUsage=cRLSign', signs],
    ['nameConstraints=permitted;DNS:test', never('2.5.29.30')],
    ['certificatePolicies=1.2.3.4', never('2.5.29.32')],
    ['tlsfeature=status_request', never('1.3.6.1.5.5.7.1.24')],
    ['crlDistributionPoints=URI:http://evil.test/crl', never('2.5.29.31')],
    ['authorityInfoAccess=OCSP;URI:http://evil.test', never('1.3.6.1.5.5.7.1.1')],
    ['1.2.3.4=ASN1:UTF8String:hello', never('1.2.3.4')],
    ['nsComment=hello', never('2.16.840.1.113730.1.13')],
  ])('%s is refused', async (extension, message) => {
    const request = await opensslRequest(workshop(), p256, ...san, '-addext', extension)
    expect(refusal(request)).toMatchObject({ code: 'usage', message })
  })

  test.each([
    ['otherName:1.2.3.4;UTF8:x', 'usage', 'The request asks for a name of the type otherName.'],
    ['RID:1.2.3.4', 'usage', 'The request asks for a name of the type registeredID.'],
    ['DNS:10.0.0.1', 'bad-name', 'The request has 10.0.0.1 as a name of the type dns.'],
    ['DNS:a@b.test', 'bad-name', 'The request has a@b.test as a name of the type dns.'],
    ['DNS:a..test', 'bad-name', 'The name a..test has two dots in a row.'],
    ['DNS:*', 'bad-name', 'The name * would be every name; a wildcard needs a domain.'],
    ['email:localhost', 'bad-name', 'The request has localhost as a name of the type email.'],
    [
      'URI:https://localhost/',
      'bad-name',
      'The name https://localhost/ is a URL; a certificate names only its host.',
    ],
    [
      'URI:spiffe://localhost:@bank.com/',
      'bad-name',
      'The name spiffe://localhost:@bank.com/ has "localhost:@bank.com" as its host, which programs read in different ways.',
    ],
  ])('the name %s is refused', async (name, code, message) => {
    const request = opensslRequest(workshop(), p256, '-addext', `subjectAltName=${name}`)
    expect(refusal(await request)).toMatchObject({ code, message })
  })
})

test.each([
  [['RSA', '-pkeyopt', 'rsa_keygen_bits:1024'], /^The request's key is RSA with 1024 bits;/],
  [['RSA', '-pkeyopt', 'rsa_keygen_pubexp:3'], /^The request's key is RSA with the exponent 3;/],
  [['RSA-PSS'], /^The request's key is of the type rsa-pss\./],
  [['EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1'], /is on the curve secp256k1\./],
  [['EC', '-pkeyopt', 'ec_paramgen_curve:P-224'], /is on the curve secp224r1\./],
  [
    ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-pkeyopt', 'ec_param_enc:explicit'],
    /^The request's key (?:has a curve of its own|is on the curve prime256v1)/,
  ],
  [['ED448'], /^The request's key is of the type ed448\./],
])('a request of the key %j is refused', async (key, sentence) => {
  const error = refusal(await opensslRequest(workshop(), key, ...san))
  expect(error.code).toBe('bad-key')
  expect(error.message).toMatch(sentence)
})

test.each([['-sha1'], ['-sha224'], ['-sha3-256']])(
  'a signature with %s is refused',
  async (digest) => {
    const error = refusal(await opensslRequest(workshop(), p256, ...san, digest))
    expect(error.code).toBe('bad-key')
    expect(error.message).toMatch(
      /^The request is signed with an algorithm that is too old or unusual/,
    )
  },
)

test('a changed name, key or signature is noticed', async () => {
  const shop = workshop()
  const der = pemBlocks((await opensslRequest(shop, p256, ...san)).toString())[0]?.der
  const other = pemBlocks((await opensslRequest(shop, p256, ...san)).toString())[0]?.der
  if (der === undefined || other === undefined) throw new Error('no request')
  const renamed = Buffer.from(der)
  renamed.write('127host', renamed.indexOf('localhost'))
  const resigned = Buffer.from(der)
  const last = der.length - 1
  resigned[last] = der.readUInt8(last) ^ 1
  const { spki } = readRequest(other)
  const rekeyed = Buffer.from(der)
  spki.copy(rekeyed, der.indexOf(readRequest(der).spki))
  for (const forged of [renamed, resigned, rekeyed])
    expect(refusal(forged)).toMatchObject({
      code: 'bad-key',
      message: 'The request was not signed with the key that it holds.',
    })
})

test.each([
  ['', "The request's file holds no PEM block and no request."],
  [
    encodePem('CERTIFICATE', Buffer.of(1)),
    "The request's file holds a CERTIFICATE and no request.",
  ],
  [
    encodePem('PRIVATE KEY', Buffer.of(1)),
    "The request's file holds a PRIVATE KEY and no request.",
  ],
  [
    encodePem('CERTIFICATE REQUEST', Buffer.of(1)).repeat(2),
    "The request's file holds 2 requests.",
  ],
  [Buffer.alloc(300_000, 0x30), 'The request is larger than anything real.'],
  ['x'.repeat(300_000), 'The request is larger than anything real.'],
  [
    Buffer.from('3080'.repeat(5000), 'hex'),
    /^The request is not valid DER: a length is indefinite/,
  ],
  [Buffer.from('30820fff', 'hex'), /^The request is not valid DER: it is cut off/],
  [Buffer.from('3003020100', 'hex'), 'The request does not hold a sequence where one belongs.'],
])('what is no request is refused: %#', (input, message) => {
  const error = refusal(input)
  expect(error.code).toBe('bad-der')
  expect(error.message).toMatch(message)
})

describe.each(keyTypes)('a request made with a %s key', (type) => {
  test('is verified and shown by OpenSSL, and read back', async () => {
    const { openssl, write } = workshop()
    const keys = await generateKeys(type)
    const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
    const identifiers = ['app.test', '*.app.test', '10.0.0.1', '::1', 'a@b.test'].map(
      parseIdentifier,
    )
    const der = makeRequest({ identifiers, keys, key })
    write('request.der', der)
    const shown = await openssl(
      'req',
      '-inform',
      'DER',
      '-in',
      'request.der',
      '-verify',
      '-text',
      '-noout',
    )
    expect(shown).toContain('Subject: CN = app.test')
    expect(shown).toContain(
      'DNS:app.test, DNS:*.app.test, IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1, email:a@b.test',
    )
    const read = readRequest(der)
    expect(read.names).toEqual(identifiers)
    expect([read.keyType, read.spki]).toEqual([type, keys.spki])
    const forged = Buffer.from(der)
    forged.write('bpp.test', forged.indexOf('app.test'))
    expect(refusal(forged).code).toBe('bad-key')
  })
})

test('OpenSSL signs the request, and the certificate has its names and key', async () => {
  const { openssl, read, write } = workshop()
  const keys = await generateKeys('p256')
  const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
  const long = `${'a'.repeat(60)}.example.test`
  for (const name of [long, 'a@b.test']) {
    const der = makeRequest({ identifiers: [parseIdentifier(name)], keys, key })
    write('request.pem', encodePem('CERTIFICATE REQUEST', der))
    write('key.pem', encodePem('PRIVATE KEY', keys.pkcs8))
    const sign = ['x509', '-req', '-copy_extensions', 'copyall', '-signkey', 'key.pem']
    await openssl(...sign, '-in', 'request.pem', '-out', 'certificate.pem')
    const certificate = new X509Certificate(read('certificate.pem'))
    expect(certificate.subject ?? '').toBe('')
    expect(certificate.subjectAltName).toContain(name)
    expect(certificate.publicKey.export({ type: 'spki', format: 'der' })).toEqual(keys.spki)
  }
})

test('a request without names, or with a key that does not sign here, is not made', async () => {
  const { openssl, read } = workshop()
  const keys = await generateKeys('p256')
  const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
  const make = (fields: Partial<Parameters<typeof makeRequest>[0]>) => () =>
    makeRequest({ identifiers: [parseIdentifier('a.test')], keys, key, ...fields })
  expect(make({ identifiers: [] })).toThrow('A request needs a name.')
  await openssl('genpkey', '-algorithm', 'ED448', '-out', 'key.pem')
  const foreign = createPrivateKey(read('key.pem'))
  expect(make({ key: foreign })).toThrow('This type of key signs no requests here.')
})

test('more than 250 names are refused, by a subjectAltName and by common names', async () => {
  const shop = workshop()
  const list = (count: number) => Array.from({ length: count }, (_, i) => `n${i}.localhost`)
  const withNames = (count: number) =>
    opensslRequest(shop, p256, '-addext', `subjectAltName=DNS:${list(count).join(',DNS:')}`)
  expect(readRequest(await withNames(250)).names).toHaveLength(250)
  expect(refusal(await withNames(251))).toMatchObject({
    code: 'usage',
    message: 'The request asks for 251 names, too many for one certificate.',
    hint: 'Make several requests, of 250 names at most',
  })
  const subject = `/CN=${list(251).join('/CN=')}`
  expect(refusal(await opensslRequest(shop, p256, '-subj', subject)).message).toBe(
    'The request asks for 251 names, too many for one certificate.',
  )
})

test('a name with a space at its end is refused, which a typed one may have', async () => {
  const keys = await generateKeys('p256')
  const key = createPrivateKey({ key: keys.pkcs8, format: 'der', type: 'pkcs8' })
  const der = makeRequest({ identifiers: [{ type: 'dns', value: 'a.test ' }], keys, key })
  expect(refusal(der)).toMatchObject({ code: 'bad-der' })
})
