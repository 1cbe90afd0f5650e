import { createPublicKey, X509Certificate } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import * as fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RootlingError } from '../../src/errors.ts'
import { issue } from '../../src/certificates/issue.ts'
import { revoke } from '../../src/certificates/revoke.ts'
import { show, showTargetOf, type ShownCertificate } from '../../src/doctor/show.ts'
import { describeFinding } from '../../src/doctor/messages.ts'
import { readCertificateParts } from '../../src/x509/certificate-reader.ts'
import { encodePem } from '../../src/x509/pem.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { contentsOf, makeWorld, type World } from '../helpers/authority.ts'
import { goodExtensions, openWorkshop, type Recipe, type Workshop } from './certificates.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'

let workshop: Workshop
let constrained: Workshop
beforeAll(async () => {
  workshop = await openWorkshop()
  constrained = await openWorkshop('permitted;DNS:app.test,permitted;IP:10.0.0.0/255.0.0.0')
})
afterAll(async () => {
  await workshop.remove()
  await constrained.remove()
})

async function look(contents: string | Buffer, now = new Date()): Promise<ShownCertificate[]> {
  const target = { from: 'file', name: 'The file', contents: Buffer.from(contents) } as const
  return [...(await show(await temporaryState(), target, now)).certificates]
}
const codesOf = (shown: ShownCertificate | undefined) => shown?.findings.map(({ code }) => code)

/** The good extensions with one in place of another, or without it. */
const instead = (name: string, line?: string): string[] => [
  ...goodExtensions.filter((extension) => !extension.startsWith(name)),
  ...(line === undefined ? [] : [line]),
]

test('a good certificate with its root has no findings and every fact', async () => {
  const { cert } = await workshop.make()
  const [leaf, root] = await look(cert + workshop.root)
  expect([codesOf(leaf), codesOf(root)]).toEqual([[], []])
  expect(leaf).toMatchObject({ role: 'leaf', chain: 'complete', scope: null, record: null })
  const certificate = new X509Certificate(cert)
  expect(leaf?.facts).toMatchObject({
    subject: 'O=Rootling tests',
    issuer: 'CN=Workshop root',
    serialNumber: certificate.serialNumber.toLowerCase(),
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    notBefore: new Date(certificate.validFrom),
    notAfter: new Date(certificate.validTo),
    names: [{ type: 'dns', value: 'app.test' }],
    key: { name: 'P-256' },
    signatureAlgorithm: 'ecdsa-with-SHA256',
    ca: false,
    keyUsage: ['digitalSignature'],
    extKeyUsage: ['serverAuth'],
  })
  expect(root).toMatchObject({ role: 'root', facts: { ca: true, selfSigned: true } })
})

const defects: readonly (readonly [code: string, recipe: Recipe])[] = [
  ['no-names', { extensions: instead('subjectAltName') }],
  ['common-name-only', { subject: '/CN=app.test', extensions: instead('subjectAltName') }],
  [
    'common-name-only',
    {
      subject: '/CN=*.bank.com',
      extensions: instead('subjectAltName', 'subjectAltName=email:a@b.test'),
    },
  ],
  ['bare-wildcard', { extensions: instead('subjectAltName', 'subjectAltName=DNS:*.test') }],
  ['underscore', { extensions: instead('subjectAltName', 'subjectAltName=DNS:my_app.test') }],
  ['long-validity', { days: 826 }],
  ['weak-key', { key: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:1024'] }],
  ['weak-signature', { more: ['-sha1'] }],
  ['ed25519', { key: ['-algorithm', 'ED25519'] }],
  ['p521', { key: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'] }],
  ['rare-key', { key: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:secp256k1'] }],
  ['no-server-auth', { extensions: instead('extendedKeyUsage', 'extendedKeyUsage=clientAuth') }],
  ['no-ext-key-usage', { extensions: instead('extendedKeyUsage') }],
  ['no-digital-signature', { extensions: instead('keyUsage', 'keyUsage=keyEncipherment') }],
  [
    'no-authority-key-identifier',
    { extensions: instead('authorityKeyIdentifier', 'authorityKeyIdentifier=none') },
  ],
  ['unused-bits', { extensions: instead('keyUsage', 'keyUsage=critical,DER:03020781') }],
  ['unknown-critical', { extensions: [...goodExtensions, '1.2.3.4=critical,DER:0500'] }],
]

test.each(defects)('finds %s, and nothing else', async (code, recipe) => {
  const { cert } = await workshop.make(recipe)
  const [leaf] = await look(cert + workshop.root)
  expect(codesOf(leaf)).toEqual([code])
  const [finding] = leaf?.findings ?? []
  if (finding === undefined) throw new Error('nothing was found')
  const { rejectedBy, sentence, remedy } = describeFinding(finding)
  expect(sentence).toMatch(/^.*\.$/)
  expect(rejectedBy.length * remedy.length).toBeGreaterThan(0)
})

test('explains a certificate with a doubled extension, and reads the first', async () => {
  const twins = ['1.2.3.4=DER:0500', '1.2.3.5=critical,DER:0500']
  const { cert } = await workshop.make({ extensions: [...goodExtensions, ...twins] })
  const der = Buffer.from(new X509Certificate(cert).raw)
  const second = der.indexOf('06032a0305', 'hex')
  expect(second).toBeGreaterThan(0)
  der[second + 4] = 4
  const [leaf] = await look(encodePem('CERTIFICATE', der) + workshop.root)
  expect(leaf?.findings).toContainEqual({ code: 'repeated-extension', extension: '1.2.3.4' })
  expect(codesOf(leaf)).not.toContain('unknown-critical')
  expect(() => readCertificateParts(der)).toThrow('each extension once')
})

test('the days that Apple takes, and not one more', async () => {
  const { cert } = await workshop.make({ days: 825 })
  expect(codesOf((await look(cert + workshop.root))[0])).toEqual([])
})

test('says when a certificate is over or not yet begun', async () => {
  const { cert } = await workshop.make()
  const at = async (date: string | number) =>
    codesOf((await look(cert + workshop.root, new Date(date)))[0])
  expect(await at(Date.now() + 31 * 86_400_000)).toEqual(['expired'])
  expect(await at('2020-01-01')).toEqual(['not-yet-valid'])
})

test('a self-signed certificate is called so, as an authority’s where it is one', async () => {
  const without = instead('authorityKeyIdentifier')
  const { cert } = await workshop.make({ self: true, extensions: without })
  expect(codesOf((await look(cert))[0])).toEqual(['self-signed'])
  const ca = without.map((line) => line.replace('CA:FALSE', 'CA:TRUE'))
  const authority = await workshop.make({ self: true, extensions: ca })
  expect(codesOf((await look(authority.cert))[0])).toEqual(['authority-as-leaf'])
})

test('an issuer that is not there is unknown', async () => {
  const { cert } = await workshop.make()
  const [leaf] = await look(cert)
  expect(leaf?.chain).toBe('unknown')
  expect(leaf?.findings).toEqual([{ code: 'unknown-issuer', issuer: 'CN=Workshop root' }])
  const stranger = await openWorkshop()
  expect(codesOf((await look(cert + stranger.root))[0])).toEqual(['unknown-issuer'])
  await stranger.remove()
})

test('names outside the authority’s constraints, and addresses under them', async () => {
  const names = async (list: string) => {
    const extensions = instead('subjectAltName', `subjectAltName=${list}`)
    const { cert } = await constrained.make({ extensions })
    return (await look(cert + constrained.root))[0]?.findings
  }
  const authority = 'CN=Workshop root'
  expect(await names('DNS:app.test,DNS:*.a.app.test')).toEqual([])
  expect(await names('DNS:app.test,DNS:myapp.test')).toEqual([
    { code: 'outside-constraints', name: 'myapp.test', authority },
  ])
  expect(await names('IP:10.1.2.3')).toEqual([{ code: 'ip-under-constraints', name: '10.1.2.3' }])
  expect(await names('IP:8.8.8.8')).toEqual([
    { code: 'outside-constraints', name: '8.8.8.8', authority },
    { code: 'ip-under-constraints', name: '8.8.8.8' },
  ])
  // A type without constraint is free.
  expect(await names('DNS:app.test,email:a@bank.com')).toEqual([])
})

async function lookAtOurs(world: World, contents: Buffer) {
  const target = { from: 'file', name: 'The file', contents } as const
  return (await show(world.state, target, new Date())).certificates
}

test('knows its own: scope, record, revocation, a chain that lacks the intermediate', async () => {
  const world = await makeWorld()
  const { serialNumber } = await world.issue('web')
  const chain = await contentsOf(world, 'web')
  const [leaf, intermediate] = await lookAtOurs(world, chain)
  expect(leaf).toMatchObject({ scope: 'local', chain: 'complete', record: { serialNumber } })
  expect(intermediate).toMatchObject({ role: 'intermediate', scope: 'local', findings: [] })
  // Ours constrain addresses, and this one has an address.
  expect(codesOf(leaf)).toEqual(['ip-under-constraints'])
  const [alone] = await lookAtOurs(world, new X509Certificate(chain).raw)
  expect(alone?.chain).toBe('incomplete')
  expect(codesOf(alone)).toContain('missing-intermediate')
  await revoke(fileStorage(world.state), {
    target: serialNumber,
    reason: 'certificateHold',
    now: new Date(),
  })
  const [revoked] = await lookAtOurs(world, chain)
  expect(revoked?.findings[0]).toMatchObject({ code: 'revoked', reason: 'certificateHold' })
})

test('by serial number: what stands in its file, or what the record says', async () => {
  const world = await makeWorld()
  const { serialNumber } = await world.issue('web')
  const ask = (serial: string) =>
    show(world.state, { from: 'record', serialNumber: serial }, new Date())
  expect((await ask(serialNumber)).certificates).toHaveLength(2)
  await world.issue('web')
  const replaced = await ask(serialNumber)
  expect(replaced).toMatchObject({ record: { serialNumber }, certificates: [] })
  const printed = await issue(world.state, { names: ['localhost'], files: null }, new Date())
  expect((await ask(printed.record.serialNumber)).certificates).toEqual([])
  await writeFile(world.path('web.pem'), 'nonsense')
  expect((await ask(serialNumber)).certificates).toEqual([])
  await expect(ask('1234')).rejects.toMatchObject({ code: 'usage' })
})

test('refuses files that hold nothing it knows', async () => {
  await expect(look('hello')).rejects.toMatchObject({ code: 'bad-certificate' })
  await expect(look('')).rejects.toMatchObject({ code: 'bad-certificate' })
  const { key } = await workshop.make()
  const publicKey = createPublicKey(key).export({ format: 'pem', type: 'spki' })
  await expect(look(publicKey)).rejects.toMatchObject({ message: /but a PUBLIC KEY/ })
})

test('a common name alone is explained by who takes it for a host, and who does not', async () => {
  const subject = '/O=Bank/CN=x y/CN=*.bank.com'
  for (const name of ['email:a@app.test', 'URI:https://app.test/', 'otherName:1.2.3.4;UTF8:x']) {
    const extensions = instead('subjectAltName', `subjectAltName=${name}`)
    const [leaf] = await look((await workshop.make({ subject, extensions })).cert + workshop.root)
    const [finding] = leaf?.findings ?? []
    expect(finding).toEqual({ code: 'common-name-only', commonName: '*.bank.com' })
    expect(finding && describeFinding(finding)).toMatchObject({
      rejectedBy: 'browsers, Go, GnuTLS (wget) and rustls',
      sentence: expect.stringContaining('OpenSSL (curl, Python, PHP, Ruby), Node and Java'),
      remedy: expect.stringMatching(/rootling issue '\*\.bank\.com'$/),
    })
  }
  const others = [
    { subject, extensions: instead('subjectAltName', 'subjectAltName=IP:127.0.0.1') },
    {
      subject: '/CN=alice',
      extensions: instead('subjectAltName', 'subjectAltName=email:a@b.test'),
    },
  ]
  for (const recipe of others) {
    const [leaf] = await look((await workshop.make(recipe)).cert + workshop.root)
    expect(codesOf(leaf)).toEqual([])
  }
})

test('text of a stranger’s choice cannot move the cursor', async () => {
  const { cert } = await workshop.make({ subject: '/CN=a\u001B[2Jb\u202Ec' })
  const [leaf] = await look(cert + workshop.root)
  expect(leaf?.facts.commonNames).toEqual(['a\uFFFD[2Jb\uFFFDc'])
})

test('a damaged certificate is explained or refused with a sentence, never worse', async () => {
  const der = new X509Certificate((await workshop.make()).cert).raw
  const state = await temporaryState()
  const outcomes: unknown[] = []
  const damage = fc.array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { maxLength: 4 })
  await fc.assert(
    fc.asyncProperty(damage, async (changes) => {
      const contents = Buffer.from(der)
      for (const [at, byte] of changes) contents[at] = byte
      const target = { from: 'file', name: 'The file', contents } as const
      outcomes.push(await show(state, target, new Date()).catch((error: unknown) => error))
    }),
    { numRuns: 300 },
  )
  const failures = outcomes.filter((outcome) => outcome instanceof Error)
  expect(failures.length).toBeGreaterThan(0)
  expect(failures.filter((error) => !(error instanceof RootlingError))).toEqual([])
})

test.each([
  ['localhost:8443', { from: 'server', host: 'localhost', port: 8443 }],
  ['[::1]:443', { from: 'server', host: '::1', port: 443 }],
  ['https://app.test', { from: 'server', host: 'app.test', port: 443 }],
  ['https://[::1]:8443/a', { from: 'server', host: '::1', port: 8443 }],
  ['4a0f'.repeat(8), { from: 'record', serialNumber: '4a0f'.repeat(8) }],
  ['localhost.pem', { from: 'file' }],
  ['./4a0f', { from: 'file' }],
  ['C:\\a.pem', { from: 'file' }],
])('%s is meant as %j', (text, target) => {
  expect(showTargetOf(text)).toEqual(target)
})

test.each(['localhost:0', 'localhost:65536', '[localhost]:443'])('%s is no address', (text) => {
  expect(() => showTargetOf(text)).toThrow(/is not a host and its port/)
})
