import { once } from 'node:events'
import { connect as connectHttp2, constants } from 'node:http2'
import { createServer as createHttpsServer, get } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { revoke } from '../../src/certificates/revoke.ts'
import { isRootlingError, RootlingError } from '../../src/errors.ts'
import { certificateFor } from '../../src/library/certificate-for.ts'
import { clientCertificateFor } from '../../src/library/client-certificate.ts'
import { createServer } from '../../src/library/create-server.ts'
import { secureContextFor } from '../../src/library/secure-context.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

const nodeMajor = Number(process.versions.node.split('.')[0])
const day = 86_400_000
const names = ['localhost', '127.0.0.1', '::1']

/** A state directory with an authority, and its root. */
async function authority(now = new Date()): Promise<{ home: string; ca: string }> {
  const home = join(await temporaryDirectory(), 'state')
  return { home, ca: (await certificateFor('localhost', { home, now: () => now })).ca }
}

/** When a certificate of 90 days begins that is due for renewal today, and still valid. */
const sixtyOneDaysAgo = () => new Date(Date.now() - 61 * day)

/** Makes a server listen until the test ends, and returns its port. */
async function listen(server: Server): Promise<number> {
  await once(server.listen(0, '127.0.0.1'), 'listening')
  onTestFinished(() => server[Symbol.asyncDispose]())
  return (server.address() as AddressInfo).port
}

/** What a client sees: the answer and the certificate, or the code of the error. */
interface Seen {
  readonly body?: string
  readonly names?: string | undefined
  readonly serial?: string
  readonly code?: string | undefined
}

/** Asks a server over HTTP/1.1; without `servername` no SNI is sent, as for an IP address. */
function visit(port: number, options: object): Promise<Seen> {
  return new Promise((resolve) => {
    get({ host: '127.0.0.1', port, agent: false, ...options }, (response) => {
      const { subjectaltname, serialNumber } = (response.socket as TLSSocket).getPeerCertificate()
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => (body += text))
      response.on('end', () =>
        resolve({ body, names: subjectaltname, serial: serialNumber.toLowerCase() }),
      )
    }).on('error', ({ code }: NodeJS.ErrnoException) => resolve({ code }))
  })
}

const hello = (_request: unknown, response: { end(text: string): unknown }): unknown =>
  response.end('hello')

describe('createServer', () => {
  test.each([false, true])('shows hosts a leaf without addresses (http2: %s)', async (http2) => {
    const { home, ca } = await authority()
    const server = http2
      ? await createServer({ home, http2: true }, hello)
      : await createServer({ home }, hello)
    const port = await listen(server)
    expect(await visit(port, { ca, servername: 'localhost' })).toMatchObject({
      body: 'hello',
      names: 'DNS:localhost',
    })
    expect(await visit(port, { ca })).toMatchObject({
      body: 'hello',
      names: 'DNS:localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1',
    })
    // Without our root, and for a name that is not the server's, a client refuses.
    expect((await visit(port, { servername: 'localhost' })).code).toMatch(/^UNABLE_TO_|SELF_SIGNED/)
    expect(await visit(port, { ca, servername: 'other.test' })).toEqual({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    })
  })

  test('a setting that Node refuses ends with Node’s own error, and with the renewal', async () => {
    const { home } = await authority()
    const begun = vi.spyOn(globalThis, 'setInterval')
    const ended = vi.spyOn(globalThis, 'clearInterval')
    const server = { maxHeaderSize: 'large' as never }
    await expect(createServer({ home, server })).rejects.toThrow('maxHeaderSize')
    const timers = begun.mock.results.map(({ value }) => value as unknown)
    expect(timers.length).toBeGreaterThan(0)
    expect(ended.mock.calls.map(([timer]) => timer as unknown)).toEqual(
      expect.arrayContaining(timers),
    )
  })

  test('speaks HTTP/2 to clients that know it, and HTTP/1.1 to others', async () => {
    const { home, ca } = await authority()
    const server = await createServer({ home, http2: true }, (request, response) =>
      response.end(request.httpVersion),
    )
    const port = await listen(server)
    const session = connectHttp2(`https://localhost:${port}`, { ca })
    const stream = session.request({ ':path': '/' }).setEncoding('utf8')
    let body = ''
    for await (const chunk of stream) body += String(chunk)
    expect(body).toBe('2.0')
    expect(await visit(port, { ca })).toMatchObject({ body: '1.1' })
    // The session is still open: closing the server ends it.
    await server[Symbol.asyncDispose]()
    expect(session.destroyed).toBe(true)
  })

  test('answers all requests of a large page in one session of HTTP/2', async () => {
    const { home, ca } = await authority()
    const body = Buffer.alloc(200_000)
    const server = await createServer({ home, http2: true }, (_request, response) =>
      response.end(body),
    )
    const session = connectHttp2(`https://localhost:${await listen(server)}`, {
      ca,
      settings: { initialWindowSize: 6_291_456 },
      maxSessionMemory: 1_000,
    })
    onTestFinished(() => session.destroy())
    await once(session, 'connect')
    const sizes = await Promise.all(
      Array.from({ length: 120 }, async () => {
        let size = 0
        for await (const chunk of session.request()) size += (chunk as Buffer).length
        return size
      }),
    )
    expect(new Set(sizes)).toEqual(new Set([body.length]))
  })

  test.skipIf(nodeMajor < 22)('keeps a session whose client drops many requests', async () => {
    const { home, ca } = await authority()
    let asked = 0
    const server = await createServer({ home, http2: true }, (request, response) => {
      asked++
      if (request.url === '/') response.end('hello')
    })
    const session = connectHttp2(`https://localhost:${await listen(server)}`, { ca })
    onTestFinished(() => session.destroy())
    await once(session, 'connect')
    for (let round = 1; round <= 20; round++) {
      const requests = Array.from({ length: 100 }, () => session.request({ ':path': '/slow' }))
      await expect.poll(() => asked, { timeout: 20_000 }).toBe(round * 100)
      const closed = requests.map((request) => once(request, 'close'))
      for (const request of requests) request.close(constants.NGHTTP2_CANCEL)
      await Promise.all(closed)
    }
    let body = ''
    for await (const chunk of session.request().setEncoding('utf8')) body += String(chunk)
    expect(body).toBe('hello')
  })

  test('takes a listener alone, names as a text, and settings of the server', async () => {
    const { home, ca } = await authority()
    const client = await clientCertificateFor('alice', { home })
    const server = await createServer(
      {
        home,
        names: 'shop.test',
        server: { requestCert: true, ca: client.clientCa, maxHeaderSize: 20_000 },
      },
      ({ socket }, response) => response.end((socket as TLSSocket).getPeerCertificate().subject.CN),
    )
    const port = await listen(server)
    const options = { ca, servername: 'shop.test' }
    expect(await visit(port, { ...options, cert: client.cert, key: client.key })).toMatchObject({
      body: 'alice',
      names: 'DNS:shop.test',
    })
    expect((await visit(port, options)).code).toBeDefined()
    expect(client.ca).toBe(ca)
  })

  test('renews while it runs, also for clients without SNI', async () => {
    let now = sixtyOneDaysAgo()
    const { home, ca } = await authority(now)
    const renewed: string[] = []
    const onRenewed = ({ serialNumber }: { serialNumber: string }) => renewed.push(serialNumber)
    const server = await createServer({ home, days: 90, now: () => now, onRenewed }, hello)
    const port = await listen(server)
    const ask = async () => [
      await visit(port, { ca, servername: 'localhost' }),
      await visit(port, { ca }),
    ]
    const before = await ask()
    now = new Date()
    const after = await waitFor('two new certificates', async () => {
      const current = await ask()
      return current.every(({ serial }, i) => serial !== before[i]?.serial) ? current : null
    })
    expect(after.map((one) => one.names)).toEqual(before.map((one) => one.names))
    expect(after.map((one) => one.body)).toEqual(['hello', 'hello'])
    expect(renewed).toEqual([after[1]?.serial])
  })

  test('shows another certificate once its own is revoked', async () => {
    const { home, ca } = await authority()
    const server = await createServer({ home, names: 'localhost' }, hello)
    const port = await listen(server)
    const first = await visit(port, { ca, servername: 'localhost' })
    await revoke(fileStorage({ path: home, owner: null }), {
      target: String(first.serial),
      now: new Date(),
    })
    const second = await waitFor('another certificate', async () => {
      const one = await visit(port, { ca, servername: 'localhost' })
      return one.serial === first.serial ? null : one
    })
    expect(second).toMatchObject({ body: 'hello', names: 'DNS:localhost' })
  })

  test('issues on demand for what its authority may sign, and for nothing else', async () => {
    const { home, ca } = await authority()
    const refused: [string, unknown][] = []
    const server = await createServer(
      {
        home,
        onDemand: true,
        onNameRefused: (name, error) => refused.push([name, (error as RootlingError).code]),
      },
      hello,
    )
    const port = await listen(server)
    const first = await visit(port, { ca, servername: 'shop.test' })
    expect(first).toMatchObject({ body: 'hello', names: 'DNS:shop.test' })
    expect((await visit(port, { ca, servername: 'shop.test' })).serial).toBe(first.serial)
    expect((await visit(port, { ca, servername: 'www.bank.com' })).code).toBe(
      'ERR_TLS_CERT_ALTNAME_INVALID',
    )
    expect(refused).toEqual([['www.bank.com', 'not-permitted']])
    // Its own names need none.
    expect(await visit(port, { ca, servername: 'localhost' })).toMatchObject({
      names: 'DNS:localhost',
    })
  })

  test('keeps its certificate and reports when a renewal fails', async () => {
    const { home, ca } = await authority()
    let now = new Date()
    const failed: [RootlingError, Date][] = []
    const options = { home, names: 'localhost', days: 90, now: () => now }
    const server = await createServer(
      { ...options, onRenewalFailed: (error, next) => failed.push([error as RootlingError, next]) },
      hello,
    )
    const port = await listen(server)
    const first = await visit(port, { ca, servername: 'localhost' })
    // The authority is gone, and is not made anew behind the person's back.
    const { rename } = await import('node:fs/promises')
    await rename(join(home, 'scopes'), join(home, 'gone'))
    now = new Date(now.getTime() + 61 * day)
    const [error, next] = await waitFor('a failure', () => failed[0] ?? null)
    expect(error.code).toBe('no-authority')
    expect(next.getTime()).toBeGreaterThan(now.getTime())
    expect(await visit(port, { ca, servername: 'localhost' })).toEqual(first)
  })

  test('lets an error of listen through, and throws what certificateFor throws', async () => {
    const { home } = await authority()
    const port = await listen(await createServer({ home }, hello))
    const second = await createServer({ home }, hello)
    const [error] = await once(second.listen(port, '127.0.0.1'), 'error')
    expect((error as NodeJS.ErrnoException).code).toBe('EADDRINUSE')
    // It never listened, and is closed all the same.
    await second[Symbol.asyncDispose]()
    const codes = [
      ['a..b', 'bad-name'],
      ['www.bank.com', 'not-permitted'],
      [[], 'usage'],
    ] as const
    for (const [bad, code] of codes)
      await expect(createServer({ home, names: bad })).rejects.toMatchObject({ code })
  })
})

describe('secureContextFor', () => {
  test('renews the certificate of a server that a program makes itself', async () => {
    let now = sixtyOneDaysAgo()
    const { home, ca } = await authority(now)
    const context = await secureContextFor(names, { home, days: 90, now: () => now })
    onTestFinished(() => context.close())
    const server = createHttpsServer({ ...context }, hello)
    const port = await listen(server)
    const options = { ca, servername: 'localhost' }
    const first = await visit(port, options)
    const cert = context.cert
    expect(first).toMatchObject({ body: 'hello', names: 'DNS:localhost' })
    now = new Date()
    await waitFor('a new certificate', async () =>
      (await visit(port, options)).serial === first.serial || context.cert === cert ? null : true,
    )
    // Without SNI the server goes on with what it was given, until it is given the new one.
    const old = await visit(port, { ca })
    server.setSecureContext({ cert: context.cert, key: context.key })
    const renewed = await visit(port, { ca })
    expect(renewed).toMatchObject({ body: 'hello', names: old.names })
    expect(renewed.serial).not.toBe(old.serial)
  })

  test('stops its renewal when it is closed', async () => {
    const { home } = await authority()
    let now = new Date()
    let asked = 0
    const context = await secureContextFor('localhost', {
      home,
      now: () => {
        asked++
        return now
      },
    })
    context[Symbol.dispose]()
    context.close()
    const before = asked
    now = new Date(now.getTime() + 300 * day)
    // The timer would ask the clock once a second.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    expect(asked).toBe(before)
  })
})

describe('clientCertificateFor', () => {
  test('keeps one certificate for one client, and renews it', async () => {
    const { home } = await authority()
    const first = await clientCertificateFor('alice', { home })
    const again = await clientCertificateFor(['alice'], { home })
    expect(again).toEqual(first)
    expect(again.clientCa).not.toBe(again.ca)
    const other = await clientCertificateFor('bob', { home })
    const subject = await clientCertificateFor([], { home, subject: 'CN=alice,O=Shop' })
    const server = await certificateFor('localhost', { home })
    const host = await clientCertificateFor('localhost', { home })
    const serials = [first, other, subject, server, host].map((one) => one.serialNumber)
    expect(new Set(serials).size).toBe(5)
    const now = () => new Date(Date.now() + 300 * day)
    const later = await clientCertificateFor('alice', { home, now })
    expect(later.serialNumber).not.toBe(first.serialNumber)
    expect(later.certPath).toBe(first.certPath)
  })

  test('throws for no name and for a bad one', async () => {
    const { home } = await authority()
    await expect(clientCertificateFor([], { home })).rejects.toMatchObject({ code: 'usage' })
    await expect(clientCertificateFor('a..b', { home })).rejects.toMatchObject({ code: 'bad-name' })
  })
})

test('an error that is printed shows no empty list of faults', () => {
  expect(Object.keys(new RootlingError('usage', 'It failed.', { hint: 'ls' }))).toEqual(
    expect.not.arrayContaining(['faults']),
  )
})

describe('isRootlingError', () => {
  test('knows the errors of another copy of the package, and their codes', () => {
    const own = new RootlingError('locked', 'It is locked.')
    const other = Object.assign(new Error('It is locked.'), { code: 'locked' })
    const branded = Object.assign(Object.create({ [Symbol.for('rootling.RootlingError')]: true }), {
      code: 'locked',
    }) as unknown
    const check = (error: unknown) => [isRootlingError(error), isRootlingError(error, 'locked')]
    expect([own, branded].map(check)).toEqual([
      [true, true],
      [true, true],
    ])
    expect(isRootlingError(own, 'usage')).toBe(false)
    expect([other, null, undefined, 'locked', {}].map((one) => isRootlingError(one))).toEqual(
      Array.from({ length: 5 }, () => false),
    )
  })
})
