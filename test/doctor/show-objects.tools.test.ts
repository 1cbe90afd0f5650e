import { createPrivateKey, createPublicKey, createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { beforeAll, expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { command, ensureBuilt } from '../helpers/built.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run, type Finished } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

let directory: string
const path = (name: string): string => join(directory, name)
function runInside(program: string, ...args: string[]): Promise<Finished> {
  const env = scrubbedEnvironment(directory, { ROOTLING_HOME: path('state') })
  return run('env', [`--chdir=${directory}`, program, ...args], env)
}
const rootling = (...args: string[]): Promise<Finished> =>
  runInside(process.execPath, command, ...args)
const passwordOf = (name: string): string => readFileSync(path(`${name}.password`), 'utf8').trim()

async function must(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await rootling(...args)
  if (exitCode !== 0) throw new Error(`${args.join(' ')}: ${stdout}${stderr}`)
  return stdout
}
async function openssl(...args: string[]): Promise<void> {
  const { exitCode, stderr } = await runInside('openssl', ...args)
  if (exitCode !== 0) throw new Error(`${args.join(' ')}: ${stderr}`)
}
interface Json {
  readonly from: string
  readonly certificates: readonly Record<string, unknown>[]
  readonly objects: readonly Record<string, unknown>[]
  readonly warnings: readonly string[]
}
const json = async (...args: string[]): Promise<Json> =>
  JSON.parse(await must('show', '--json', ...args)) as Json

beforeAll(async () => {
  ensureBuilt()
  directory = await temporaryDirectory()
  await ensureAuthority({ path: path('state'), owner: null }, new Date())
  await must('issue', 'shop.test', '--pkcs12', '--full')
  await must('issue', 'old.test', '--pkcs12', '--legacy-pkcs12', '--key-type', 'rsa2048')
  await must('issue', 'gone.test')
  await must('issue', '--client', 'alice@example.test')
  await must('revoke', 'gone.test.pem', '--reason', 'keyCompromise')
  await must('request', 'www.example.com', 'mail.example.com', '--csr-file', 'www.csr')
  await must('crl', '--out', 'local-crl.pem')
})

/** The lines of the secret parts of every key, and the passwords: nothing may print them. */
function secrets(): string[] {
  const keys = ['shop.test-key.pem', 'old.test-key.pem'].map((name) => {
    const key = createPrivateKey(readFileSync(path(name)))
    return key.export({ format: 'jwk' }).d ?? ''
  })
  const pem = readFileSync(path('shop.test-key.pem'), 'utf8').split('\n').slice(1, 3)
  return [...keys, ...pem, passwordOf('shop.test.p12'), passwordOf('old.test.p12')]
}
function expectNoSecret(text: string): void {
  for (const secret of secrets()) {
    expect(secret.length).toBeGreaterThan(10)
    expect(text).not.toContain(secret)
  }
}

test.each(['pem', 'der'])('a request in %s', async (form) => {
  if (form === 'der')
    await openssl('req', '-in', 'www.csr', '-outform', 'DER', '-out', 'request.der')
  const file = form === 'der' ? 'request.der' : 'www.csr'
  expect(await must('show', file)).toMatch(
    /^A certification request \(CSR\)\n +names +www\.example\.com, mail\.example\.com\n.*CN=www\.example\.com\n +key +P-256\n +Nothing known/,
  )
  const { objects, certificates } = await json(file)
  expect(certificates).toEqual([])
  expect(objects).toMatchObject([{ type: 'request', key: 'P-256', refused: null }])
})

test('a request that nobody signs says so', async () => {
  const key = ['-newkey', 'rsa:1024', '-nodes', '-keyout', 'weak-key.pem', '-subj', '/CN=a.test']
  await openssl('req', '-new', ...key, '-out', 'weak.csr')
  expect(await must('show', 'weak.csr')).toMatch(
    /key +RSA 1024\n +Refused by rootling issue --csr: .*1024 bits/,
  )
})

test.each([
  ['PKCS #8', 'shop.test-key.pem', []],
  ['PKCS #8 in DER', 'key.der', ['pkcs8', '-topk8', '-nocrypt', '-outform', 'DER']],
  ['SEC1 in DER', 'sec1.der', ['ec', '-outform', 'DER']],
])('a key as %s: its public facts alone', async (_form, file, convert) => {
  const [command, ...options] = convert
  if (command !== undefined)
    await openssl(command, '-in', 'shop.test-key.pem', ...options, '-out', file)
  const spki = createPublicKey(readFileSync(path('shop.test-key.pem'))).export({
    format: 'der',
    type: 'spki',
  })
  const publicKeyFingerprint = createHash('sha256').update(spki).digest('hex')
  const text = await must('show', file)
  const groups = publicKeyFingerprint.replace(/(.{8})(?=.)/g, '$1:')
  expect(text).toMatch(/A private key\n {2}key +P-256\n/)
  expect(text).toContain(`\n  SHA-256 of public key\n    ${groups}\n`)
  expectNoSecret(text)
  const { objects } = await json(file)
  expect(objects).toEqual([{ type: 'key', encrypted: false, key: 'P-256', publicKeyFingerprint }])
})

test('an encrypted key, in PEM and DER, is opened by --password-file alone', async () => {
  writeFileSync(path('secret.txt'), 'correct horse\n')
  writeFileSync(path('wrong.txt'), 'wrong horse\n')
  const encrypt = ['pkcs8', '-topk8', '-in', 'shop.test-key.pem', '-passout', 'file:secret.txt']
  await openssl(...encrypt, '-out', 'enc.pem')
  await openssl(...encrypt, '-outform', 'DER', '-out', 'enc.der')
  for (const file of ['enc.pem', 'enc.der']) {
    expect(await must('show', file)).toMatch(/^A private key, encrypted\n.*--password-file FILE/)
    const opened = await must('show', file, '--password-file', 'secret.txt')
    expect(opened).toMatch(/^A private key, encrypted\n +key +P-256\n/)
    expectNoSecret(opened)
    const refused = await rootling('show', file, '--password-file', 'wrong.txt')
    expect([refused.exitCode, refused.stdout]).toEqual([1, ''])
  }
})

test('both lists that crl writes, with one line for each revoked certificate', async () => {
  const list = JSON.parse(await must('list', '--all', '--json')) as {
    certificates: { serialNumber: string; names: string[] }[]
  }
  const gone = list.certificates.find(({ names }) => names[0] === 'gone.test')?.serialNumber ?? '?'
  const text = await must('show', 'local-crl.pem')
  expect(text).toMatch(
    /^A list of revoked certificates \(CRL\)\n +issued by +.*\(our root\s+local\s+\(\w{8}:\w{8}\)\)/,
  )
  expect(text).toMatch(new RegExp(`\\n {2}${gone} +\\S+ \\S+ UTC +keyCompromise\\n`))
  const { objects } = await json('local-crl.pem')
  expect(objects).toMatchObject([
    { type: 'crl', scope: 'local', revoked: [{ serialNumber: gone, reason: 'keyCompromise' }] },
    { type: 'crl', scope: 'local', revoked: [] },
  ])
  await must('crl', '--format', 'der', '--out', 'local.crl')
  expect((await json('local.crl')).objects).toMatchObject([{ type: 'crl', scope: 'local' }])
})

test('the OCSP response that the ceremony signed', async () => {
  const response = path('ocsp.der')
  writeFileSync(response, readFileSync(path('state/scopes/clients/root.ocsp')))
  expect(await must('show', response)).toMatch(
    /^An OCSP response\n +status +successful\n +signed by +key .*\(our root\s+clients\s+\(\w{8}:\w{8}\)\)\n[^]*\n {2}\w+ +good\s+/,
  )
})

test.each(['shop.test.p12', 'old.test.p12'])(
  '%s by the password that was kept, by a given one, and by no other',
  async (file) => {
    const text = await must('show', file)
    expect(text).toMatch(
      /^1\. A certificate for a server[^]*\n2\. An intermediate[^]*\nA private key/,
    )
    expectNoSecret(text)
    const { certificates, objects } = await json(file)
    expect(certificates).toMatchObject([{ issuedHere: true }, { role: 'intermediate' }])
    const key = file.startsWith('old') ? 'RSA 2048' : 'P-256'
    expect(objects).toMatchObject([{ type: 'key', encrypted: true, key }])
    writeFileSync(path('right.txt'), `${passwordOf(file)}\n`)
    writeFileSync(path('copy.p12'), readFileSync(path(file)))
    await must('show', 'copy.p12', '--password-file', 'right.txt')
    const nobody = await rootling('show', 'copy.p12')
    expect([nobody.exitCode, nobody.stderr]).toEqual([
      2,
      expect.stringMatching(/nobody can be asked/),
    ])
    writeFileSync(path('wrong.txt'), 'wrong\n')
    const wrong = await rootling('show', 'copy.p12', '--password-file', 'wrong.txt')
    expect([wrong.exitCode, wrong.stderr]).toEqual([
      1,
      expect.stringMatching(/The password does not open copy\.p12/),
    ])
  },
)

test('a .p12 of OpenSSL, and one without a key', async () => {
  writeFileSync(path('secret.txt'), 'correct horse\n')
  const pass = ['-passout', 'file:secret.txt']
  const pair = ['-in', 'shop.test.pem', '-inkey', 'shop.test-key.pem']
  await openssl('pkcs12', '-export', ...pair, ...pass, '-out', 'openssl.p12')
  const made = await json('openssl.p12', '--password-file', 'secret.txt')
  expect([made.certificates.length, made.objects.length]).toEqual([2, 1])
  await openssl('pkcs12', '-export', '-nokeys', '-in', 'shop.test.pem', ...pass, '-out', 'no.p12')
  const none = await json('no.p12', '--password-file', 'secret.txt')
  expect([none.certificates.length, none.objects.length]).toEqual([2, 0])
})

test('a file with certificates and their key shows both', async () => {
  const text = await must('show', 'shop.test-full.pem')
  expect(text).toMatch(
    /^1\. A certificate for a server[^]*\n2\. An intermediate[^]*\nA private key/,
  )
  expectNoSecret(text)
})

test('a bundle of any size is one line a certificate, also where one cannot be read', async () => {
  const bundle = Array.from({ length: 10 }, () => rootCertificates).flat()
  writeFileSync(path('bundle.pem'), `${bundle.join('\n')}\n`)
  const lines = (await must('show', 'bundle.pem')).trimEnd().split('\n')
  expect(lines).toHaveLength(bundle.length)
  for (const line of lines) expect(line).toMatch(/^.{1,80}$/)
  expect(lines[0]).toMatch(
    /^ +1 {2}\S.*(?:until|expired) \d{4}-\d\d-\d\d {2}[0-9a-f]{8}:[0-9a-f]{8}$/,
  )
  const broken = '-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n'
  writeFileSync(path('broken.pem'), broken + rootCertificates.slice(0, 20).join('\n'))
  const { certificates, warnings } = await json('broken.pem')
  expect([certificates.length, warnings]).toEqual([
    20,
    [expect.stringMatching(/^Certificate 1 of 21 cannot be read/)],
  ])
})
