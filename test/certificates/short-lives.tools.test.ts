import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createAcmeAuthority } from '../../src/acme/acme-authority.ts'
import { createIssuer } from '../../src/certificates/issuer.ts'
import type { Leaf, LeafRequest } from '../../src/certificates/leaf.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { generateKeys } from '../../src/x509/keys.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { day } from '../../src/x509/profiles.ts'
import { makeWorld, openssl, type World } from '../helpers/authority.ts'
import { startHttpsServer } from '../helpers/https-server.ts'
import { buildJava } from '../helpers/java-program.ts'
import { hasTool, runTool } from '../helpers/tools.ts'

const certtool = await hasTool('certtool')
const javac = await hasTool('/usr/bin/javac')
const now = () => new Date()
const revocationUrl = 'http://localhost:14680'
const identifiers = [
  { type: 'dns', value: 'localhost' },
  { type: 'ip', value: '127.0.0.1' },
] as const

/** Signs a leaf, and writes it as leaf.pem, chain.pem and key.pem. */
async function sign(world: World, request: Partial<LeafRequest>): Promise<Leaf> {
  const keys = await generateKeys('p256')
  const leaf = await createIssuer(fileStorage(world.state), now).sign({
    ...{ identifiers, purpose: 'server', spki: keys.spki, keyType: 'p256', lifetime: 7 },
    ...{ revocationUrl, responder: 'daemon' },
    ...request,
  })
  await writeFile(world.path('leaf.pem'), encodePem('CERTIFICATE', leaf.der))
  await writeFile(world.path('chain.pem'), leaf.chain)
  await writeFile(world.path('key.pem'), encodePem('PRIVATE KEY', keys.pkcs8))
  return leaf
}

const textOf = (world: World): Promise<string> =>
  openssl('x509', '-in', world.path('leaf.pem'), '-noout', '-text')

const from = new Date('2027-01-01T00:00:00Z')
const until = (milliseconds: number) => ({
  notBefore: from,
  notAfter: new Date(from.getTime() + milliseconds),
})

// OpenSSL has a name for the extension since 3.4.
const noRevAvail = /(?:2\.5\.29\.56|No Revocation Available): *\n/
const pointers = /CRL Distribution Points|OCSP - URI/

test.each([
  ['7 days', 7],
  ['1 day', 1],
  ['7 days between its dates, both included', until(7 * day - 1000)],
])('a leaf of %s points to nothing and says so, where that is asked for', async (_, lifetime) => {
  const world = await makeWorld()
  const { facts } = await sign(world, { lifetime, noRevAvail: 'short' })
  const text = await textOf(world)
  expect(text).toMatch(noRevAvail)
  expect(text).not.toMatch(pointers)
  expect(facts).not.toHaveProperty('revocationUrl')
  expect(facts).not.toHaveProperty('responder')
})

test.each<[string, Partial<LeafRequest>]>([
  ['of 7 days that nobody asked for more', {}],
  ['of 8 days', { lifetime: 8, noRevAvail: 'short' }],
  ['a second too long', { lifetime: until(7 * day), noRevAvail: 'short' }],
])('a leaf %s names the responder, as ever', async (_, request) => {
  const world = await makeWorld()
  const { facts } = await sign(world, request)
  const text = await textOf(world)
  expect(text).not.toMatch(noRevAvail)
  expect(text).toMatch(pointers)
  expect(facts).toMatchObject({ revocationUrl, responder: 'daemon' })
})

test('the extension is NULL and not critical (RFC 9608), and comes once', async () => {
  const world = await makeWorld()
  const { der } = await sign(world, { noRevAvail: 'short' })
  // SEQUENCE { OID 2.5.29.56, OCTET STRING { NULL } }, without the BOOLEAN of a critical one.
  const encoded = Buffer.from('3009 0603551d38 0402 0500'.replaceAll(' ', ''), 'hex')
  expect(der.toString('hex').split(encoded.toString('hex'))).toHaveLength(2)
})

test('an ACME authority does so when it is told to', async () => {
  const world = await makeWorld()
  const { spki } = await generateKeys('p256')
  const request = { identifiers, spki, keyType: 'p256', dates: null }
  for (const [shortLives, days, expected] of [
    [undefined, 7, false],
    [true, 7, true],
    [true, 90, false],
  ] as const) {
    const storage = fileStorage(world.state)
    const authority = createAcmeAuthority({ storage, now, revocationUrl, shortLives })
    const { leaf } = await authority.sign({ ...request, days })
    await writeFile(world.path('leaf.pem'), leaf)
    expect(noRevAvail.test(await textOf(world))).toBe(expected)
    expect(pointers.test(await textOf(world))).toBe(!expected)
  }
})

test('OpenSSL in strict mode, GnuTLS and curl accept such a leaf', async () => {
  const world = await makeWorld()
  const { chain } = await sign(world, { noRevAvail: 'short' })
  const root = world.path('root.pem')
  const issuer = world.path('intermediate.pem')
  const leaf = world.path('leaf.pem')
  const purpose = ['-x509_strict', '-purpose', 'sslserver', '-verify_hostname', 'localhost']
  const verify = (name: string) =>
    openssl('verify', '-CAfile', name, '-untrusted', issuer, ...purpose, leaf)
  expect(await verify(root)).toMatch(/leaf\.pem: OK/)
  expect(await verify(issuer)).not.toMatch(/: OK/)
  if (certtool) {
    const args = ['--verify', '--load-ca-certificate', root, '--infile', world.path('chain.pem')]
    const verified = await runTool('certtool', [...args, '--verify-purpose', '1.3.6.1.5.5.7.3.1'])
    expect(verified.stdout).toContain('Verified. The certificate is trusted.')
  }
  const key = await readFile(world.path('key.pem'))
  const server = await startHttpsServer({ cert: chain, key }, 'hello')
  onTestFinished(() => server.close())
  const url = `https://localhost:${server.port}/`
  const curl = (file: string) => runTool('curl', ['-sS', '--cacert', world.path(file), url])
  expect(await curl('root.pem')).toMatchObject({ exitCode: 0, stdout: 'hello' })
  const stranger = await makeWorld()
  await writeFile(world.path('stranger.pem'), stranger.scope.root.toString())
  expect((await curl('stranger.pem')).exitCode).toBe(60)
})

test.skipIf(!javac)('Java accepts such a leaf', async () => {
  const world = await makeWorld()
  await sign(world, { noRevAvail: 'short' })
  const source = join(import.meta.dirname, '../outside/interop/Verify.java')
  const files = ['root.pem', 'intermediate.pem', 'leaf.pem'].map(world.path)
  const line = [...files, '1.3.6.1.5.5.7.3.1', '2', 'localhost'].join('\t')
  const program = '/usr/bin/java'
  const { stdout } = await runTool(program, await buildJava(source, program), `${line}\n`)
  expect(stdout).toBe('accepted\n')
})
