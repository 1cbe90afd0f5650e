import { X509Certificate, createPrivateKey } from 'node:crypto'
import { createSecureServer, connect } from 'node:http2'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { dirname, relative } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import {
  certificateFaults,
  ephemeralAuthority,
  type CertificateFault,
} from '../../src/ephemeral/index.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { blocksWithoutExample, documentedRefusals } from './documented.ts'
import { serve, serveClients, visit } from './visit.ts'

const ca = await ephemeralAuthority()
const leafOf = ({ cert }: { readonly cert: string }): X509Certificate => new X509Certificate(cert)
const day = 86_400_000

describe('a certificate', () => {
  test('is accepted by a client with the root, for its names alone, and by no other client', async () => {
    const port = await serve(await ca.certificate())
    expect(await visit(port, { ca: ca.root })).toBe('hello')
    const other = { ca: ca.root, servername: 'other.test' }
    expect(await visit(port, other)).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
    expect(await visit(port)).toMatch(/^(?:UNABLE_TO_|SELF_SIGNED_)/)
    const stranger = await ephemeralAuthority()
    expect(await visit(port, { ca: stranger.root })).toMatch(/^UNABLE_TO_/)
  })

  test('is for any name where none are permitted alone', async () => {
    const names = ['shop.example.com', '*.shop.test', 'bücher.example', '10.1.2.3', 'fe80::1']
    const certificate = await ca.certificate(names)
    const ascii = names.with(2, 'xn--bcher-kva.example')
    expect(certificate.names).toEqual(ascii)
    const leaf = leafOf(certificate)
    for (const name of ascii.slice(0, 3)) expect(leaf.checkHost(name), name).toBeDefined()
    for (const ip of ascii.slice(3)) expect(leaf.checkIP(ip), ip).toBeDefined()
    expect(leaf.checkHost('localhost')).toBeUndefined()
  })

  test('is for this machine by default, for a year, with a key of its own', async () => {
    const [one, other] = [await ca.certificate(), await ca.certificate()]
    expect(one.names).toEqual(['localhost', '127.0.0.1', '::1'])
    expect(leafOf(one).checkPrivateKey(createPrivateKey(one.key))).toBe(true)
    expect(leafOf(one).checkPrivateKey(createPrivateKey(other.key))).toBe(false)
    expect(one.ca).toBe(ca.root)
    expect(one.notBefore.getTime()).toBeLessThan(Date.now())
    expect(one.notAfter.getTime()).toBeGreaterThan(Date.now() + 390 * day)
    expect(one.serialNumber).toBe(leafOf(one).serialNumber.toLowerCase())
    expect(one.fingerprint).toBe(leafOf(one).fingerprint256.replaceAll(':', '').toLowerCase())
  })

  test('has the subject, the key type and the dates that were asked for', async () => {
    const dates = {
      notBefore: new Date('2026-01-01'),
      notAfter: new Date('2040-01-01T12:00:00.9Z'),
    }
    const subject = 'CN=shop.test,O=Shop'
    const certificate = await ca.certificate('shop.test', { subject, keyType: 'ed25519', ...dates })
    const leaf = leafOf(certificate)
    expect(leaf.subject).toBe('O=Shop\nCN=shop.test')
    expect(leaf.publicKey.asymmetricKeyType).toBe('ed25519')
    expect(certificate).toMatchObject({
      notBefore: dates.notBefore,
      notAfter: new Date('2040-01-01T12:00:00Z'),
    })
    expect(new Date(leaf.validTo)).toEqual(certificate.notAfter)
  })

  test('serves HTTP/2', async () => {
    const server = createSecureServer(await ca.certificate())
    server.on('stream', (stream) => stream.end('hello'))
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve))
    const { port } = server.address() as AddressInfo
    const session = connect(`https://localhost:${port}`, { ca: ca.root })
    onTestFinished(() => {
      session.close()
      server.close()
    })
    let body = ''
    for await (const text of session.request().setEncoding('utf8')) body += String(text)
    expect(body).toBe('hello')
  })

  test('is good for clients although a test has set a false clock', async () => {
    vi.useFakeTimers({ now: new Date('2001-01-01'), toFake: ['Date'] })
    onTestFinished(() => void vi.useRealTimers())
    const [certificate, { root }] = [await ca.certificate(), await ephemeralAuthority()]
    vi.useRealTimers()
    expect(certificate.notAfter.getTime()).toBeGreaterThan(Date.now())
    expect(new Date(new X509Certificate(root).validTo).getTime()).toBeGreaterThan(Date.now())
  })

  test('is dated by the clock that was given', async () => {
    const past = await ephemeralAuthority({ now: () => new Date('2020-01-01') })
    const certificate = await past.certificate()
    expect(certificate.notAfter).toEqual(new Date('2021-01-31T22:59:59Z'))
    expect(await visit(await serve(certificate), { ca: past.root })).toBe('CERT_HAS_EXPIRED')
  })
})

/** What a client says that has the CRLs where the fault needs them. */
const refusals = documentedRefusals()

describe('a certificate with a fault', () => {
  test.each(certificateFaults)('%s is refused by a client for that', async (fault) => {
    const names = ['localhost', '*.shop.test']
    const port = await serve(await ca.certificate(names, { fault }))
    const crl = fault === 'revoked' ? { crl: await ca.crls() } : {}
    expect(await visit(port, { ca: ca.root, ...crl })).toBe(refusals[fault].node)
    // The fault is the only one.
    const good = await serve(await ca.certificate(names))
    expect(await visit(good, { ca: ca.root, crl: await ca.crls() })).toBe('hello')
  })

  test.each(certificateFaults.filter((fault) => fault !== 'wrong-name'))(
    '%s of a client is refused by a server for that',
    async (fault) => {
      const client = await ca.clientCertificate('ada', { fault })
      const crl = fault === 'revoked' ? { crl: await ca.crls() } : {}
      const port = await serveClients({ ...(await ca.certificate()), ...crl })
      expect(await visit(port, client)).toBe(refusals[fault].node)
      expect(await visit(port, await ca.clientCertificate('ada'))).toBe('ada')
    },
  )

  test('a revoked one is accepted by a client without the list', async () => {
    const port = await serve(await ca.certificate('localhost', { fault: 'revoked' }))
    expect(await visit(port, { ca: ca.root })).toBe('hello')
  })
})

describe('a certificate of a client', () => {
  test('is known by its first name, and accepted for clients alone', async () => {
    const port = await serveClients(await ca.certificate())
    expect(await visit(port, await ca.clientCertificate('ada@example.com'))).toBe('ada@example.com')
    const spiffe = await ca.clientCertificate(['ada', 'spiffe://shop.test/cart'])
    expect(await visit(port, spiffe)).toBe('ada')
    expect(leafOf(spiffe).subjectAltName).toBe('URI:spiffe://shop.test/cart')
    expect(await visit(port, await ca.certificate())).toBe('INVALID_PURPOSE')
    expect(await visit(port, { ca: ca.root })).toBe('UNABLE_TO_GET_ISSUER_CERT')
    const other = await serve(await ca.clientCertificate('localhost'))
    expect(await visit(other, { ca: ca.root })).toBe('INVALID_PURPOSE')
  })
})

describe('revoke', () => {
  test('puts a certificate into the next list, once', async () => {
    const own = await ephemeralAuthority()
    const [good, bad] = [await own.certificate(), await own.certificate()]
    const [one, other] = [await serve(good), await serve(bad)]
    const before = { ca: own.root, crl: await own.crls() }
    expect(await visit(other, before)).toBe('hello')
    own.revoke(bad)
    own.revoke(bad)
    const after = { ca: own.root, crl: await own.crls() }
    expect(await visit(other, after)).toBe('CERT_REVOKED')
    expect(await visit(one, after)).toBe('hello')
  })

  test('refuses a certificate that the authority did not issue', async () => {
    const stranger = await (await ephemeralAuthority()).certificate()
    expect(() => ca.revoke(stranger)).toThrow(
      expect.objectContaining({
        code: 'usage',
        message: `This authority did not issue the certificate with the serial number ${stranger.serialNumber}.`,
      }),
    )
  })
})

describe('permitted', () => {
  test('gives the root name constraints, which issuing keeps to', async () => {
    const narrow = await ephemeralAuthority({ permitted: ['Shop.example.com', '203.0.113.0/24'] })
    const names = ['api.shop.example.com', '203.0.113.7', 'localhost']
    const port = await serve(await narrow.certificate(names))
    expect(await visit(port, { ca: narrow.root })).toBe('hello')
    await expect(narrow.certificate('www.example.com')).rejects.toMatchObject({
      code: 'not-permitted',
      message:
        'www.example.com is outside the names that this authority may sign; clients would refuse it.',
      hint: "ephemeralAuthority({ permitted: ['www.example.com'] })",
    })
    const asking = await serveClients(await narrow.certificate())
    for (const name of ['ada', 'ada@shop.example.com', 'cart.shop.test'])
      expect(await visit(asking, await narrow.clientCertificate(name))).toBe(name)
    for (const name of ['*.example.com', 'spiffe://example.com/ada'])
      await expect(narrow.certificate(name)).rejects.toMatchObject({
        hint: "ephemeralAuthority({ permitted: ['example.com'] })",
      })
    await expect(narrow.clientCertificate('ada@example.com')).rejects.toMatchObject({
      code: 'not-permitted',
      hint: "ephemeralAuthority({ permitted: ['example.com'] })",
    })
    const wrong = await serve(await narrow.certificate('localhost', { fault: 'wrong-name' }))
    expect(await visit(wrong, { ca: narrow.root })).toBe('ERR_TLS_CERT_ALTNAME_INVALID')
  })

  test.each([['*.shop.test'], ['ada@shop.test'], ['https://shop.test']])(
    'refuses %s',
    async (text) => {
      const made = ephemeralAuthority({ permitted: [text] })
      await expect(made).rejects.toMatchObject({ code: /^(?:usage|bad-name)$/ })
    },
  )
})

describe('what cannot be issued throws', () => {
  const never = 'no such fault' as CertificateFault
  test.each([
    ['an empty list', () => ca.certificate([]), 'usage', 'The list of names is empty.'],
    [
      'an unknown key type of the root',
      () => ephemeralAuthority({ keyType: 'dsa' as 'p256' }),
      'usage',
      'dsa is no type of key.',
    ],
    ['no name', () => ca.certificate('a..b'), 'bad-name', 'The name a..b has two dots in a row.'],
    [
      'an unknown fault',
      () => ca.certificate('localhost', { fault: never }),
      'usage',
      "no such fault is no fault of a server's certificate.",
    ],
    [
      'a fault of servers',
      () => ca.clientCertificate('ada', { fault: 'wrong-name' as 'expired' }),
      'usage',
      "wrong-name is no fault of a client's certificate.",
    ],
    [
      'an unknown key type',
      () => ca.certificate('localhost', { keyType: 'dsa' as 'p256' }),
      'usage',
      'dsa is no type of key.',
    ],
    [
      'an end before the beginning',
      () => ca.certificate('localhost', { notAfter: new Date('2020-01-01') }),
      'usage',
      /^The certificate would end on 2020-01-01T00:00:00.000Z, before it begins on /,
    ],
    [
      'no date',
      () => ca.certificate('localhost', { notAfter: new Date('soon') }),
      'usage',
      'notAfter is no date between 1950 and 9999.',
    ],
    [
      'a subject that is none',
      () => ca.certificate('localhost', { subject: 'Ada' }),
      'usage',
      'Ada is no attribute of a subject.',
    ],
  ] as const)('%s', async (_what, issue, code, sentence) => {
    const message = typeof sentence === 'string' ? sentence : expect.stringMatching(sentence)
    await expect(issue()).rejects.toMatchObject({ code, message, hint: expect.any(String) })
  })
})

describe('files', () => {
  test('are written only when asked for, for this user alone, and deleted again', async () => {
    const certificate = await ca.certificate()
    const files = await certificate.files()
    expect(readFileSync(files.certPath, 'utf8')).toBe(certificate.cert)
    expect(readFileSync(files.keyPath, 'utf8')).toBe(certificate.key)
    expect(readFileSync(files.caPath, 'utf8')).toBe(certificate.ca)
    if (process.platform !== 'win32') {
      expect(statSync(files.keyPath).mode & 0o777).toBe(0o600)
      expect(statSync(dirname(files.keyPath)).mode & 0o777).toBe(0o700)
    }
    await files[Symbol.asyncDispose]()
    expect(existsSync(dirname(files.keyPath))).toBe(false)
    await files.dispose()
  })

  test.skipIf(process.platform === 'win32')(
    'have absolute paths below a relative TMPDIR',
    async () => {
      const directory = await temporaryDirectory()
      vi.stubEnv('TMPDIR', relative(process.cwd(), directory))
      onTestFinished(() => void vi.unstubAllEnvs())
      await using files = await (await ca.certificate()).files()
      // The process may go elsewhere before it ends, when what is left is deleted.
      expect(dirname(dirname(files.keyPath))).toBe(directory)
    },
  )

  test('that cannot be written are one sentence', async () => {
    const certificate = await ca.certificate()
    vi.stubEnv('TMPDIR', '/dev/null/nowhere')
    onTestFinished(() => void vi.unstubAllEnvs())
    await expect(certificate.files()).rejects.toMatchObject({
      code: 'state-unwritable',
      message: 'Temporary files cannot be written in /dev/null/nowhere.',
    })
  })

  test('are none without being asked for', async () => {
    const directory = await temporaryDirectory()
    vi.stubEnv('TMPDIR', directory)
    onTestFinished(() => void vi.unstubAllEnvs())
    const own = await ephemeralAuthority()
    await own.certificate()
    await own.clientCertificate('ada')
    await own.crls()
    ;(await own.trust()).dispose()
    expect(readdirSync(directory)).toEqual([])
  })
})

describe('trust', () => {
  test('makes this process trust the root until it ends', async () => {
    const port = await serve(await ca.certificate())
    const get = async (): Promise<string> =>
      fetch(`https://localhost:${port}`, { headers: { connection: 'close' } }).then(
        (response) => response.text(),
        (error: Error) => (error.cause as NodeJS.ErrnoException).code ?? '',
      )
    expect(await get()).toMatch(/^UNABLE_TO_/)
    const [one, two] = [await ca.trust(), await ca.trust()]
    expect([await get(), await visit(port)]).toEqual(['hello', 'hello'])
    one.dispose()
    one.dispose()
    expect(await visit(port)).toBe('hello')
    // A client that names its own roots trusts these alone.
    const other = await ephemeralAuthority()
    expect(await visit(port, { ca: other.root })).toMatch(/^UNABLE_TO_/)
    two[Symbol.dispose]()
    expect(await visit(port)).toMatch(/^UNABLE_TO_/)
    const again = await ca.trust()
    expect(await visit(port)).toBe('hello')
    again.dispose()
    expect(await visit(port)).toMatch(/^UNABLE_TO_/)
  })

  test.each(['Bun', 'Deno'])('says in %s what to do instead', async (name) => {
    vi.stubGlobal('process', { ...process, versions: { [name.toLowerCase()]: '1' } })
    onTestFinished(() => void vi.unstubAllGlobals())
    await expect(ca.trust()).rejects.toMatchObject({
      code: 'unsupported',
      message: `${name} does not let a program change the roots that its fetch trusts.`,
    })
  })
})

describe('docs/testing.md', () => {
  test('has every fault, and no code that is in no example', () => {
    expect(Object.keys(refusals)).toEqual(certificateFaults)
    expect(blocksWithoutExample()).toEqual([])
  })
})
