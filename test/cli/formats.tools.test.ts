import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { openHome, type Home } from '../helpers/home.ts'

/** A home with an authority, and openssl in it. */
async function openWithAuthority() {
  const home = openHome()
  await home.createAuthority()
  const path = (name: string): string => join(home.directory, name)
  const tryOpenssl = (line: string) => home.run('openssl', line.trim().split(/\s+/))
  const openssl = async (line: string): Promise<string> => {
    const { exitCode, stdout, stderr } = await tryOpenssl(line)
    if (exitCode !== 0) throw new Error(`openssl ${line}: ${stderr}`)
    return stdout + stderr
  }
  return {
    ...home,
    path,
    tryOpenssl,
    openssl,
    read: (name: string) => readFileSync(path(name), 'utf8'),
    mode: (name: string) => statSync(path(name)).mode & 0o777,
  }
}

const recorded = async ({ json }: Pick<Home, 'json'>): Promise<number> =>
  ((await json(['list', '--all'])).value['certificates'] as unknown[]).length

test('--der, --chain-file and --full write what OpenSSL reads, and only keys are private', async () => {
  const { rootling, openssl, read, mode, path } = await openWithAuthority()
  const formats = ['--der', '--chain-file', 'issuers.pem', '--full']
  expect(await rootling(['issue', 'shop.test', ...formats])).toMatchObject({ exitCode: 0 })
  const leaf = new X509Certificate(read('shop.test.pem'))
  expect(new X509Certificate(readFileSync(path('shop.test.der'))).raw).toEqual(leaf.raw)
  expect(new X509Certificate(read('issuers.pem')).checkIssued(leaf)).toBe(false)
  expect(leaf.checkIssued(new X509Certificate(read('issuers.pem')))).toBe(true)
  expect(read('shop.test-full.pem')).toBe(read('shop.test.pem') + read('shop.test-key.pem'))
  expect(await openssl('x509 -inform DER -in shop.test.der -noout -subject')).toContain('Rootling')
  await openssl('pkey -in shop.test-full.pem -noout')
  const modes = ['shop.test.der', 'issuers.pem', 'shop.test-full.pem', 'shop.test-key.pem'].map(
    mode,
  )
  expect(modes).toEqual([0o644, 0o644, 0o600, 0o600])
})

test('--encrypt-key leaves no file with a plain key, and its passphrase opens it', async () => {
  const { rootling, openssl, tryOpenssl, read, path } = await openWithAuthority()
  writeFileSync(path('passphrase'), 'correct horse\nsecond line\n', { mode: 0o600 })
  const args = ['issue', 'shop.test', '--full', '--encrypt-key', '--password-file', 'passphrase']
  const { exitCode, stdout, stderr } = await rootling(args)
  expect(exitCode).toBe(0)
  expect(stdout + stderr).not.toContain('correct horse')
  for (const file of ['shop.test-key.pem', 'shop.test-full.pem']) {
    expect(read(file)).toContain('BEGIN ENCRYPTED PRIVATE KEY')
    expect(read(file)).not.toContain('BEGIN PRIVATE KEY')
    await openssl(`pkey -in ${file} -passin file:passphrase -noout`)
    expect((await tryOpenssl(`pkey -in ${file} -passin pass:wrong -noout`)).exitCode).toBe(1)
  }
  const rekeyed = await rootling(['renew', 'shop.test', '--rekey'])
  expect([rekeyed.exitCode, rekeyed.stdout]).toEqual([
    1,
    expect.stringContaining('Its key is encrypted, and its passphrase is not kept.'),
  ])
  expect((await rootling(['renew', 'shop.test'])).exitCode).toBe(0)
  expect(read('shop.test-full.pem')).toBe(read('shop.test.pem') + read('shop.test-key.pem'))
})

test('nobody is asked for a passphrase without a terminal', async () => {
  const { rootling, path } = await openWithAuthority()
  const { exitCode, stderr } = await rootling(['issue', 'shop.test', '--encrypt-key'])
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining('--password-file FILE')])
  expect(existsSync(path('shop.test.pem'))).toBe(false)
})

test('--self-signed is called untrusted wherever it is met', async () => {
  const { rootling, json, openssl, tryOpenssl } = await openWithAuthority()
  const { exitCode, stderr } = await rootling(['issue', 'self.test', '--self-signed'])
  expect([exitCode, stderr]).toEqual([0, expect.stringContaining('trusted by nobody')])
  expect(await openssl('x509 -in self.test.pem -noout -subject')).toContain('(untrusted)')
  await openssl('verify -CAfile self.test.pem self.test.pem')
  const root = await rootling(['ca', 'path'])
  expect((await tryOpenssl(`verify -CAfile ${root.stdout} self.test.pem`)).exitCode).toBe(2)
  expect((await rootling(['list'])).stdout).toContain('server, self-signed')
  expect((await rootling(['show', 'self.test.pem'])).stdout).toContain('Refused by every client')
  const { value } = await json(['issue', 'self.test', '--self-signed'])
  expect(value).toMatchObject({
    certificate: { scope: '(self-signed)' },
    warnings: [expect.stringContaining('trusted by nobody')],
  })
  const renewed = await rootling(['renew', 'self.test'])
  expect([renewed.exitCode, renewed.stdout]).toEqual([1, expect.stringContaining('is self-signed')])
})

test.each([
  ['--stdout', '--der'],
  ['--stdout', '--out-dir=x'],
  ['--csr=a.csr', '--full'],
  ['--csr=a.csr', '--pkcs12'],
  ['--csr=a.csr', '--key-type=p384'],
  ['--self-signed', '--client'],
  ['--self-signed', '--revocation-url=http://localhost:1'],
])('%s and %s contradict each other', async (...flags) => {
  const { rootling, json } = await openWithAuthority()
  const before = await recorded({ json })
  const { exitCode, stdout, stderr } = await rootling(['issue', 'shop.test', ...flags])
  expect([exitCode, stdout]).toEqual([2, ''])
  expect(stderr).toMatch(/^Error: [^\n]+\.\n {2}→ Leave out --[^\n]+\n$/)
  expect(await recorded({ json })).toBe(before)
})

test('request makes a key and a request that OpenSSL verifies, and replaces nothing', async () => {
  const { rootling, openssl, read, mode } = await openWithAuthority()
  const names = ['shop.test', '*.shop.test', '10.1.2.3', 'me@shop.test', 'urn:x:1']
  expect(await rootling(['request', ...names])).toMatchObject({ exitCode: 0 })
  const shown = await openssl('req -in shop.test+4.csr -noout -verify -text')
  expect(shown).toContain('verify OK')
  expect(shown).toContain(
    'DNS:shop.test, DNS:*.shop.test, IP Address:10.1.2.3, email:me@shop.test, URI:urn:x:1',
  )
  expect(mode('shop.test+4-key.pem')).toBe(0o600)
  const before = read('shop.test+4-key.pem')
  const again = await rootling(['request', ...names])
  expect([again.exitCode, again.stderr]).toEqual([1, expect.stringContaining('--force')])
  expect(read('shop.test+4-key.pem')).toBe(before)
  expect(await rootling(['request', ...names, '--force'])).toMatchObject({ exitCode: 0 })
  expect(read('shop.test+4-key.pem')).not.toBe(before)
})

test.each([
  ['RSA 2048', 'rsa:2048'],
  ['RSA 4096', 'rsa:4096'],
  ['P-256', 'ec -pkeyopt ec_paramgen_curve:P-256'],
  ['P-384', 'ec -pkeyopt ec_paramgen_curve:P-384'],
  ['P-521', 'ec -pkeyopt ec_paramgen_curve:P-521'],
  ['Ed25519', 'ed25519'],
])('a request for a key of OpenSSL’s, %s, is signed', async (_name, key) => {
  const { rootling, openssl, read } = await openWithAuthority()
  await openssl(
    `req -new -newkey ${key} -nodes -keyout k.pem -out r.csr -subj /CN=x -addext subjectAltName=DNS:a.test`,
  )
  const { exitCode } = await rootling(['issue', '--csr', 'r.csr', '--cert-file', 'c.pem'])
  expect(exitCode).toBe(0)
  expect(await openssl('x509 -in c.pem -noout -pubkey')).toBe(
    await openssl('pkey -in k.pem -pubout'),
  )
  expect(new X509Certificate(read('c.pem')).subjectAltName).toBe('DNS:a.test')
  const root = await rootling(['ca', 'path'])
  await openssl(`verify -x509_strict -CAfile ${root.stdout} -untrusted c.pem c.pem`)
})

const request =
  'req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -subj /CN=x -out r.csr'
const named = '-addext subjectAltName=DNS:a.test'
test.each<[string, string, ((der: Buffer) => Buffer) | null, RegExp, number]>([
  ['a weak key', request.replace(/ec -pkeyopt \S+/, `rsa:1024 ${named}`), null, /1024/, 1],
  [
    'CA:TRUE',
    `${request} ${named} -addext basicConstraints=CA:TRUE`,
    null,
    /asks to be a certificate authority/,
    2,
  ],
  [
    'a foreign extension',
    `${request} ${named} -addext nsComment=hello`,
    null,
    /extension that is never given/,
    2,
  ],
  [
    'names outside',
    `${request} -addext subjectAltName=DNS:bank.com`,
    null,
    /bank\.com is outside/,
    1,
  ],
  ['no names', request.replace('/CN=x', '/O=x'), null, /holds no names/, 2],
  [
    'a signature that is not its own',
    `${request} ${named}`,
    flipLast,
    /not signed with the key that it holds/,
    1,
  ],
  [
    'an end that is missing',
    `${request} ${named}`,
    (der) => der.subarray(0, -20),
    /ends|short|truncated|length/i,
    1,
  ],
  [
    'two megabytes',
    `${request} ${named}`,
    () => Buffer.alloc(2 * 1024 * 1024, 0x30),
    /large|long/,
    1,
  ],
])(
  'a request with %s is refused, and nothing is written',
  async (_name, line, spoil, sentence, code) => {
    const { rootling, openssl, path, json } = await openWithAuthority()
    await openssl(line)
    if (spoil !== null) {
      await openssl('req -in r.csr -outform DER -out r.der')
      writeFileSync(path('r.csr'), spoil(readFileSync(path('r.der'))))
    }
    const before = await recorded({ json })
    const { exitCode, stdout, stderr } = await rootling([
      'issue',
      '--csr',
      'r.csr',
      '--cert-file',
      'c.pem',
    ])
    expect([exitCode, stdout, stderr]).toEqual([code, '', expect.stringMatching(sentence)])
    expect(stderr).toMatch(/^Error: [^\n]+\n(?: {2}→ [^\n]+\n)?$/)
    expect(existsSync(path('c.pem'))).toBe(false)
    expect(await recorded({ json })).toBe(before)
  },
)

function flipLast(der: Buffer): Buffer {
  const copy = Buffer.from(der)
  copy.writeUInt8(copy.readUInt8(copy.length - 1) ^ 1, copy.length - 1)
  return copy
}
