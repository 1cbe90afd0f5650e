import { once } from 'node:events'
import { mkdirSync, openSync, closeSync, ftruncateSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { certificateFaults, ephemeralAuthority } from '../../src/ephemeral/index.ts'
import { certificateFor, inspect, RootlingError } from '../../src/index.ts'
import { pemBlocks } from '../../src/x509/pem.ts'
import { serve } from '../ephemeral/visit.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

const ca = await ephemeralAuthority()
const day = 24 * 60 * 60 * 1000
let home: string
beforeAll(async () => {
  home = join(await temporaryDirectory(), 'state')
})

const codesOf = async (target: string | Uint8Array | URL): Promise<string[]> =>
  ((await inspect(target, { home })).certificates[0]?.findings ?? []).map(({ code }) => code)

/** Returns the error of an inspection, which must be one of ours. */
async function refusal(target: unknown, options = {}): Promise<RootlingError> {
  const error = await inspect(target as string, { home, ...options }).catch((thrown) => thrown)
  expect(error).toBeInstanceOf(RootlingError)
  return error as RootlingError
}

test('a certificate of this machine has every fact, as plain JSON, and nobody refuses it', async () => {
  const { cert, serialNumber, fingerprint, notAfter } = await certificateFor('localhost', { home })
  const inspection = await inspect(cert, { home })
  expect(inspection).toMatchObject({ from: 'file', record: null, revocation: null, warnings: [] })
  expect(inspection.certificates).toMatchObject([
    {
      role: 'leaf',
      scope: 'local',
      chain: 'complete',
      issuedHere: true,
      names: [{ type: 'dns', value: 'localhost' }],
      key: 'P-256',
      daysLeft: 396,
      notAfter: notAfter.toISOString(),
      serialNumber,
      fingerprint,
      findings: [],
    },
    { role: 'intermediate', scope: 'local', findings: [] },
  ])
  expect(JSON.parse(JSON.stringify(inspection))).toEqual(inspection)
})

test('PEM, DER, a path, a URL of a file and a serial number lead to the same', async () => {
  const { cert, certPath, serialNumber } = await certificateFor('localhost', { home })
  const der = pemBlocks(cert)[0]?.der ?? Buffer.alloc(0)
  const targets = [cert, Buffer.from(cert), new Uint8Array(der), certPath, pathToFileURL(certPath)]
  for (const target of [...targets, pathToFileURL(certPath).href, serialNumber]) {
    const { certificates } = await inspect(target, { home })
    expect(certificates[0]).toMatchObject({ serialNumber, issuedHere: true })
  }
  expect(await inspect(serialNumber, { home })).toMatchObject({
    from: 'record',
    record: { serialNumber, names: ['localhost'], use: 'server', certPath },
  })
})

test('says who refuses a certificate that has expired, signed itself or has another issuer', async () => {
  const codes: Record<string, string[]> = {}
  for (const fault of certificateFaults)
    codes[fault] = await codesOf((await ca.certificate('localhost', { fault })).cert)
  // Who knows no issuer of another authority says so beside the fault.
  expect(codes).toMatchObject({
    expired: ['expired', 'unknown-issuer'],
    'not-yet-valid': ['not-yet-valid', 'unknown-issuer'],
    'wrong-issuer': ['unknown-issuer'],
    'self-signed': ['self-signed'],
  })
  const { cert } = await ca.certificate('localhost', { fault: 'expired' })
  const [first] = (await inspect(cert, { home })).certificates[0]?.findings ?? []
  expect(first).toEqual({
    code: 'expired',
    rejectedBy: 'every client',
    sentence: expect.stringMatching(/^It ended on .*\.$/),
    remedy: `Ask its issuer for a new one, or renew it: ROOTLING_HOME=${home} rootling renew`,
  })
})

test('judges by the clock that is given', async () => {
  const { cert } = await certificateFor('localhost', { home })
  const now = () => new Date(Date.now() + 500 * day)
  const { certificates } = await inspect(cert, { home, now })
  expect(certificates[0]).toMatchObject({ daysLeft: -104, findings: [{ code: 'expired' }] })
})

test('a live server shows its certificate, which must cover the host', async () => {
  const good = await serve(await certificateFor(['localhost', '127.0.0.1'], { home }))
  for (const target of [`localhost:${good}`, `https://localhost:${good}/path`])
    expect(await inspect(target, { home })).toMatchObject({
      from: 'server',
      certificates: [
        { chain: 'complete', scope: 'local', findings: [{ code: 'ip-under-constraints' }] },
        {},
      ],
    })
  expect(await codesOf(new URL(`https://127.0.0.1:${good}/`))).toEqual(['ip-under-constraints'])
  const wrong = await serve(await ca.certificate('localhost', { fault: 'wrong-name' }))
  expect(await codesOf(`localhost:${wrong}`)).toEqual(['unknown-issuer', 'host-not-covered'])
  const alone = await serve({
    ...(await certificateFor('localhost', { home })),
    cert: pemBlocks((await certificateFor('localhost', { home })).cert)[0]?.text ?? '',
  })
  expect(await codesOf(`localhost:${alone}`)).toEqual(['missing-intermediate'])
})

test('a server that says nothing, or an octet now and then, is waited for ten seconds', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    // The beginning of a TLS record whose rest never comes.
    socket.write(Buffer.from([22, 3, 3, 0x40, 0]))
    const drip = setInterval(() => socket.write(Buffer.from([2])), 20)
    socket.on('close', () => clearInterval(drip))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => void server.close())
  const asked = refusal(`127.0.0.1:${(server.address() as AddressInfo).port}`)
  await once(server, 'connection')
  await vi.advanceTimersByTimeAsync(10_000)
  expect(await asked).toMatchObject({
    code: 'connect-failed',
    message: expect.stringMatching(/showed no certificate within 10 s\.$/),
  })
})

test('a private key shows its public facts alone, and a password opens an encrypted one', async () => {
  const { key } = await ca.certificate()
  const { createPrivateKey } = await import('node:crypto')
  const encrypted = createPrivateKey(key).export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'open sesame',
  })
  const [plainObject] = (await inspect(key, { home })).objects
  expect(plainObject).toMatchObject({ type: 'key', encrypted: false, key: 'P-256' })
  expect((await inspect(encrypted, { home })).objects).toMatchObject([
    { encrypted: true, key: null },
  ])
  const opened = await inspect(encrypted, { home, password: 'open sesame' })
  expect(opened.objects).toEqual([{ ...plainObject, encrypted: true }])
  expect(await refusal(encrypted, { password: 'wrong' })).toMatchObject({
    code: 'bad-key',
    message: expect.stringMatching(/^The key in target cannot be/),
  })
})

test('a CRL has dates as texts', async () => {
  const certificate = await ca.certificate()
  ca.revoke(certificate)
  const list = (await ca.crls())[0] ?? ''
  const { objects } = await inspect(list, { home })
  expect(objects).toMatchObject([
    {
      type: 'crl',
      scope: null,
      revoked: expect.arrayContaining([
        expect.objectContaining({ serialNumber: certificate.serialNumber }),
      ]),
    },
  ])
  expect(JSON.parse(JSON.stringify(objects))).toEqual(objects)
})

const garbage: readonly (readonly [title: string, target: unknown, code: string, says: RegExp])[] =
  [
    ['nothing', '', 'usage', /^target is empty/],
    ['no octets', new Uint8Array(), 'bad-certificate', /holds no certificate/],
    ['octets of no meaning', Buffer.from('hello'), 'bad-certificate', /^target holds no/],
    ['DER of something else', Buffer.from('3003020101', 'hex'), 'bad-certificate', /./],
    ['PEM without an end', '-----BEGIN CERTIFICATE-----\nMIIB', 'bad-certificate', /^target holds/],
    ['a number', 42, 'usage', /of the type number/],
    ['null', null, 'usage', /cannot be null/],
    ['a path with NUL', 'a\0b', 'file-unreadable', /cannot be read/],
    ['a missing file', '/nowhere/cert.pem', 'file-unreadable', /There is no file \/nowhere/],
    ['a serial number that is unknown', 'ab'.repeat(16), 'usage', /No certificate on record/],
    ['a URL of another scheme', 'ftp://localhost/', 'usage', /not ftp:/],
    ['http', new URL('http://localhost/'), 'usage', /not http:/],
    ['no URL', 'https://', 'usage', /is not a URL/],
    ['a file of another machine', new URL('file://other/cert.pem'), 'usage', /of a file here/],
    ['a port that is none', 'localhost:99999', 'usage', /not a host and its port/],
    ['more than 16 MiB', Buffer.alloc(16 * 1024 * 1024 + 1, 'x'), 'bad-certificate', /larger than/],
  ]

test.each(garbage)('refuses %s with one of our errors', async (_title, target, code, says) => {
  expect(await refusal(target)).toMatchObject({ code, message: expect.stringMatching(says) })
})

test('refuses a huge file and a directory without reading them', async () => {
  const directory = await temporaryDirectory()
  const huge = join(directory, 'huge.pem')
  const file = openSync(huge, 'w')
  ftruncateSync(file, 1024 ** 4)
  closeSync(file)
  expect(await refusal(huge)).toMatchObject({
    code: 'file-unreadable',
    message: expect.stringMatching(/is larger than 16777216 bytes\.$/),
  })
  mkdirSync(join(directory, 'inside'))
  expect(await refusal(join(directory, 'inside'))).toMatchObject({ code: 'file-unreadable' })
})

test('needs no authority, and makes none', async () => {
  const elsewhere = join(await temporaryDirectory(), 'state')
  const { cert } = await ca.certificate()
  const file = join(await temporaryDirectory(), 'cert.pem')
  writeFileSync(file, cert)
  expect(await inspect(file, { home: elsewhere })).toMatchObject({
    certificates: [{ scope: null, chain: 'unknown' }, {}],
  })
  const { existsSync } = await import('node:fs')
  expect(existsSync(elsewhere)).toBe(false)
  expect(await refusal(file, { home: 'state' })).toMatchObject({
    code: 'usage',
    message: 'home must be an absolute path, not state.',
  })
})
