import * as fc from 'fast-check'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { beforeAll, expect, test, vi } from 'vitest'
import { RootlingError } from '../../src/errors.ts'
import { integer, objectIdentifier, octetString, sequence } from '../../src/x509/asn1.ts'
import { generateKeys } from '../../src/x509/keys.ts'
import { encodePem, pemBlocks } from '../../src/x509/pem.ts'
import { readPrivateKey } from '../../src/x509/private-key.ts'
import { workshop } from './strangers.ts'

const numRuns = Number(process.env['ROOTLING_FUZZ_RUNS'] ?? 2000)
vi.setConfig({ testTimeout: 120_000 + numRuns * 50 })
const passphrase = 's3cret wörd'

/** How openssl genpkey is asked for it, and what we call it. */
const made: [string[], string][] = [
  [['RSA', '-pkeyopt', 'rsa_keygen_bits:2048'], 'rsa2048'],
  [['RSA', '-pkeyopt', 'rsa_keygen_bits:3072'], 'rsa3072'],
  [['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'], 'p256'],
  [['EC', '-pkeyopt', 'ec_paramgen_curve:P-384'], 'p384'],
  [['EC', '-pkeyopt', 'ec_paramgen_curve:P-521'], 'p521'],
  [['ED25519'], 'ed25519'],
]

test.each(made)(
  'openssl genpkey -algorithm %j gives a %s key, encrypted or not',
  async (args, type) => {
    const { openssl, read, write } = workshop()
    await openssl('genpkey', '-algorithm', ...args, '-out', 'key.pem')
    const pem = read('key.pem').toString()
    const key = readPrivateKey(pem)
    expect(key.keyType).toBe(type)
    expect(key.spki.toString('base64')).toBe(
      pemBlocks(await openssl('pkey', '-in', 'key.pem', '-pubout'))[0]?.der.toString('base64'),
    )
    write('pass', passphrase)
    const topk8 = ['pkcs8', '-topk8', '-in', 'key.pem', '-passout', 'file:pass', '-out', 'enc.pem']
    for (const how of [
      ['-v2', 'aes-256-cbc'],
      ['-v2', 'des3'],
      ['-scrypt'],
      ['-v1', 'PBE-SHA1-3DES'],
    ]) {
      await openssl(...topk8, ...how)
      const encrypted = read('enc.pem').toString()
      expect(readPrivateKey(encrypted, passphrase).spki).toEqual(key.spki)
      expect(refusal(encrypted, 's3cret word')).toMatchObject({
        code: 'bad-key',
        message: 'The key cannot be decrypted: the passphrase is wrong, or the file is damaged.',
      })
      expect(refusal(encrypted)).toMatchObject({
        code: 'usage',
        message: 'The key is encrypted, and no passphrase was given.',
      })
    }
  },
)

test('the older forms are read: PKCS #1, SEC1 with and without parameters, encrypted in PEM', async () => {
  const { openssl, read, write } = workshop()
  write('pass', passphrase)
  await openssl('genrsa', '-traditional', '-out', 'rsa.pem', '2048')
  await openssl('ecparam', '-name', 'prime256v1', '-genkey', '-out', 'ec.pem')
  for (const [file, command, type] of [
    ['rsa.pem', 'rsa', 'rsa2048'],
    ['ec.pem', 'ec', 'p256'],
  ] as const) {
    const key = readPrivateKey(read(file).toString())
    expect(key.keyType).toBe(type)
    const how = ['-aes256', '-passout', 'file:pass', '-out', 'enc.pem']
    const old = command === 'rsa' ? ['-traditional'] : []
    await openssl(command, '-in', file, ...old, ...how)
    const pem = read('enc.pem').toString()
    expect(pem).toContain('DEK-Info: AES-256-CBC')
    expect(readPrivateKey(pem, passphrase).spki).toEqual(key.spki)
    expect(refusal(pem, 'wrong').code).toBe('bad-key')
    expect(refusal(pem).code).toBe('usage')
  }
  expect(read('ec.pem').toString()).toContain('EC PARAMETERS')
})

test('certificates, comments and Windows line ends around the key are passed over', async () => {
  const { pkcs8, spki } = await generateKeys('p256')
  const certificate = encodePem('CERTIFICATE', Buffer.of(0x30, 0))
  const pem = `Bag Attributes\n${certificate}${encodePem('PRIVATE KEY', pkcs8)}${certificate}`
  expect(readPrivateKey(pem.replaceAll('\n', '\r\n')).spki).toEqual(spki)
})

test.each([
  ['', "The key's file holds no PEM block of a private key."],
  ['not a key at all', "The key's file holds no PEM block of a private key."],
  [
    encodePem('CERTIFICATE', Buffer.of(1)),
    "The key's file holds a CERTIFICATE, but no private key.",
  ],
  [encodePem('PUBLIC KEY', Buffer.of(1)), "The key's file holds a PUBLIC KEY, but no private key."],
  [encodePem('PRIVATE KEY', Buffer.of(1)).repeat(2), "The key's file holds 2 private keys."],
  [encodePem('OPENSSH PRIVATE KEY', Buffer.of(1)), "The key is in OpenSSH's own format."],
  [
    encodePem('DSA PRIVATE KEY', Buffer.of(1)),
    'The key is of a type that certificates here do not have.',
  ],
  [
    encodePem('PRIVATE KEY', Buffer.from('3003020101', 'hex')),
    'The key is damaged, or of a type that certificates here do not have.',
  ],
  ['x'.repeat(300_000), 'The key is in a text that is too large for a key.'],
])('refused: %#', (pem, message) => {
  expect(refusal(pem)).toMatchObject({ code: 'bad-key', message })
})

test.each([
  [
    ['RSA', '-pkeyopt', 'rsa_keygen_bits:1024'],
    /^The key is RSA with 1024 bits; 2048 are the least\./,
  ],
  [['RSA', '-pkeyopt', 'rsa_keygen_pubexp:3'], /^The key is RSA with the exponent 3;/],
  [['RSA-PSS'], /^The key is of the type rsa-pss\./],
  [['EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1'], /^The key is on the curve secp256k1\./],
  [['EC', '-pkeyopt', 'ec_paramgen_curve:brainpoolP256r1'], /on the curve brainpoolP256r1\./],
  [
    ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-pkeyopt', 'ec_param_enc:explicit'],
    /^The key (?:has a curve of its own|is on the curve prime256v1)/,
  ],
  [['ED448'], /^The key is of the type ed448\./],
  [['X25519'], /^The key is of the type x25519\./],
])('a key of the type %j is refused', async (args, sentence) => {
  const { openssl, read } = workshop()
  await openssl('genpkey', '-algorithm', ...args, '-out', 'key.pem')
  const error = refusal(read('key.pem').toString())
  expect(error.code).toBe('bad-key')
  expect(error.message).toMatch(sentence)
})

test('a DSA key is refused', () => {
  const { privateKey } = generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  expect(refusal(pem).message).toMatch(/^The key is of the type dsa\./)
})

test('encryption that OpenSSL 3 no longer has is named, with a way out', async () => {
  const { openssl, read, write } = workshop()
  write('pass', passphrase)
  await openssl('genpkey', '-algorithm', 'ED25519', '-out', 'key.pem')
  const old = ['-v1', 'PBE-MD5-DES', '-provider', 'legacy', '-provider', 'default']
  const topk8 = ['pkcs8', '-topk8', '-in', 'key.pem', '-passout', 'file:pass', '-out', 'enc.pem']
  await openssl(...topk8, ...old)
  expect(refusal(read('enc.pem').toString(), passphrase)).toMatchObject({
    code: 'bad-key',
    message: 'The key is encrypted in an old or unusual way (1.2.840.113549.1.5.3).',
  })
})

test('a file that asks for hours of work is refused at once', () => {
  const oid = objectIdentifier
  const aes = sequence(oid('2.16.840.1.101.3.4.1.42'), octetString(Buffer.alloc(16)))
  const salt = octetString(Buffer.alloc(8))
  for (const derivation of [
    sequence(oid('1.2.840.113549.1.5.12'), sequence(salt, integer(2 ** 31 - 1))),
    sequence(
      oid('1.3.6.1.4.1.11591.4.11'),
      sequence(salt, integer(16_384), integer(8), integer(16_384)),
    ),
  ]) {
    const algorithm = sequence(oid('1.2.840.113549.1.5.13'), sequence(derivation, aes))
    const der = sequence(algorithm, octetString(Buffer.alloc(32)))
    const started = performance.now()
    expect(refusal(encodePem('ENCRYPTED PRIVATE KEY', der), passphrase).message).toBe(
      'The key would take longer to decrypt than a key of any known tool.',
    )
    expect(performance.now() - started).toBeLessThan(1000)
  }
})

let seeds: Buffer[]
beforeAll(async () => {
  const keys = await Promise.all((['p256', 'ed25519', 'rsa2048'] as const).map(generateKeys))
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const cipher = { cipher: 'aes-256-cbc', passphrase }
  seeds = [
    ...keys.map(({ pkcs8 }) => pkcs8),
    privateKey.export({ type: 'sec1', format: 'der' }),
    privateKey.export({ type: 'pkcs8', format: 'der', ...cipher }),
  ]
})

const labels = ['PRIVATE KEY', 'PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY']

test('any bytes under any label give a key or one kind of error', () => {
  const edits = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 })
  fc.assert(
    fc.property(
      fc.nat(9),
      fc.constantFrom(...labels, 'ENCRYPTED PRIVATE KEY'),
      edits,
      fc.nat(5000),
      (which, label, changes, cut) => {
        const seed = Buffer.from(seeds[which % seeds.length] ?? Buffer.alloc(0))
        for (const [at, octet] of changes) seed[at % seed.length] = octet
        const bytes = cut < seed.length ? seed.subarray(0, cut) : seed
        const real = which % seeds.length === seeds.length - 1 ? 'ENCRYPTED PRIVATE KEY' : label
        onlyOurs(encodePem(real, bytes))
      },
    ),
    { numRuns },
  )
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      onlyOurs(text)
      onlyOurs(`-----BEGIN PRIVATE KEY-----\n${text}\n-----END PRIVATE KEY-----`)
    }),
    { numRuns },
  )
  expect.hasAssertions()
})

function onlyOurs(pem: string): void {
  try {
    const { privateKey, spki } = readPrivateKey(pem, passphrase)
    expect(
      createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).length,
    ).toBeGreaterThan(0)
    expect(spki.length).toBeGreaterThan(0)
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    expect(['bad-key', 'bad-der', 'usage']).toContain(error.code)
    expect(error.message + String(error.hint)).not.toContain(passphrase)
  }
}

function refusal(pem: string, password?: string): RootlingError {
  try {
    readPrivateKey(pem, password)
  } catch (error) {
    if (error instanceof RootlingError) return error
    throw error
  }
  throw new Error('the key was read')
}
