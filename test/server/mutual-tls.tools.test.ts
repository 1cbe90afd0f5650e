import { once } from 'node:events'
import { connect as connectHttp2, type ClientHttp2Session } from 'node:http2'
import { Agent, request } from 'node:https'
import type { Readable } from 'node:stream'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  createHttpsServer,
  type HttpsServer,
  type HttpsServerOptions,
} from '../../src/server/https.ts'
import { createClientGate, type ClientGateOptions } from '../../src/server/mutual-tls.ts'
import { createDemoHandler } from '../../src/sites/demo/demo.ts'
import type { Revocation } from '../../src/x509/revocation.ts'
import { makeCredentials, type ClientKind, type Credentials } from '../sites/mtls/credentials.ts'
import type { Issued } from '../helpers/openssl-authority.ts'

let given: Credentials
beforeAll(() => {
  given = makeCredentials()
})
afterAll(() => given.authority.remove())

interface Started {
  port: number
  server: HttpsServer
  log: string[]
  served: string[]
  revoked: Set<string>
}

async function start(
  gate: Partial<ClientGateOptions> = {},
  options: Partial<HttpsServerOptions> = {},
): Promise<Started> {
  const log: string[] = []
  const served: string[] = []
  const revoked = new Set([given.serialOf('revoked')])
  const revocationOf = async (serialNumber: string): Promise<Revocation | null> =>
    revoked.has(serialNumber)
      ? { serialNumber, reason: 'keyCompromise', revokedAt: '2026-03-01T12:00:00.000Z' }
      : null
  const intermediates = ['CN=intermediate']
  const server = await createHttpsServer({
    pair: given.server,
    port: 0,
    handler: createDemoHandler(),
    clients: createClientGate({ ca: [given.root], intermediates, revocationOf, ...gate }),
    onConnectionError: (error) => void log.push(error.message),
    onRequest: ({ path }) => void served.push(path),
    ...options,
  })
  onTestFinished(() => server.close({ drainMilliseconds: 0 }))
  return { port: server.port, server, log, served, revoked }
}

/** One JSON request: the body, or the code of what broke. */
function fetch(port: number, client: Issued | null, tls: ConnectionOptions = {}): Promise<string> {
  return new Promise((resolve) => {
    const agent = new Agent({ maxCachedSessions: 0 })
    const asked = request({
      ...client,
      ...tls,
      host: 'localhost',
      port,
      agent,
      ca: given.root,
      headers: { Accept: 'application/json' },
    })
    asked.on('error', (error) => resolve(codeOf(error)))
    asked.on('response', (response) => resolve(textOf(response)))
    asked.end()
  })
}

/** `ALERT_UNKNOWN_CA`, say: what stands before it differs between the versions of OpenSSL. */
function codeOf(error: NodeJS.ErrnoException): string {
  return (error.code ?? error.message).replace(/^ERR_SSL_.*(?=ALERT_)/, '')
}

/** The same with HTTP/2. */
function fetchHttp2(port: number, client: Issued | null): Promise<string> {
  return new Promise((resolve) => {
    const session = connectHttp2(`https://localhost:${port}`, { ...client, ca: given.root })
    const fail = (error: Error): void => resolve(codeOf(error))
    session.on('error', fail)
    onHttp2(session)
      .then(resolve, fail)
      .finally(() => session.destroy())
  })
}

async function onHttp2(session: ClientHttp2Session): Promise<string> {
  return textOf(session.request({ ':path': '/', accept: 'application/json' }))
}

async function textOf(stream: Readable): Promise<string> {
  return Buffer.concat(await stream.toArray()).toString()
}

describe('a client whose certificate holds', () => {
  test.each([
    ['HTTP/1.1', fetch],
    ['HTTP/2', fetchHttp2],
  ])('is told over %s whom the server took it for', async (http, fetch) => {
    const { port, log } = await start()
    const facts = JSON.parse(await fetch(port, given.clients.good)) as object
    expect(facts).toMatchObject({
      http,
      client: {
        subject: 'CN=good',
        subjectAltName: ['alice@example.test'],
        issuer: 'CN=intermediate',
        serialNumber: given.serialOf('good').toLowerCase(),
        fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
      },
    })
    expect(log).toEqual([])
  })

  test('may lack extKeyUsage, which then limits nothing', async () => {
    const { port } = await start()
    expect(await fetch(port, given.clients.withoutUsage)).toContain('CN=without-usage')
  })
})

const refusals: [ClientKind | null, string, string | RegExp][] = [
  [null, 'ALERT_CERTIFICATE_REQUIRED', 'the client sent no certificate.'],
  [
    'revoked',
    'ALERT_CERTIFICATE_REVOKED',
    'the certificate of alice@example.test was revoked on 2026-03-01 12:00 UTC (keyCompromise).',
  ],
  [
    'forServers',
    'ALERT_UNSUPPORTED_CERTIFICATE',
    'the certificate of alice@example.test is not for clients (its extKeyUsage lacks clientAuth).',
  ],
  [
    'foreign',
    'ALERT_UNKNOWN_CA',
    'the certificate of alice@example.test comes from another CA, “CN=stranger”.',
  ],
  ['selfSigned', 'ALERT_UNKNOWN_CA', 'the certificate of alice@example.test is signed by itself.'],
  [
    'alone',
    'ALERT_UNKNOWN_CA',
    'the certificate of alice@example.test came without the intermediate that issued it, “CN=intermediate”.',
  ],
  [
    'expired',
    'ALERT_CERTIFICATE_EXPIRED',
    /^the certificate of alice@example\.test.* has expired: it was valid until 2020-02-01 00:00 UTC\.$/,
  ],
  [
    'future',
    'ALERT_CERTIFICATE_EXPIRED',
    'the certificate of alice@example.test is not valid before 2045-01-01 00:00 UTC.',
  ],
]

describe('a client that is refused', () => {
  test.each(refusals)(
    'with certificate %s gets the alert %s, and the log the reason',
    async (kind, alert, sentence) => {
      const { port, log, served } = await start()
      const client = kind === null ? null : given.clients[kind]
      expect(await fetch(port, client)).toBe(alert)
      expect(await fetchHttp2(port, client)).toMatch(/^(?:ERR|ALERT)_/)
      expect(log).toHaveLength(2)
      expect(log[0]).toMatch(sentence)
      expect(log[1]).toBe(log[0])
      expect(served).toEqual([])
    },
  )

  test.each(refusals)('with certificate %s is refused where none is needed too', async (kind) => {
    const { port, log } = await start({ optional: true })
    const answer = await fetch(port, kind === null ? null : given.clients[kind])
    if (kind === null) expect(JSON.parse(answer)).toMatchObject({ client: null })
    else expect(answer).toMatch(/^ALERT_/)
    expect(log).toHaveLength(kind === null ? 0 : 1)
  })

  test.each(['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'])(
    'reads the alert with %s',
    async (ciphers) => {
      const { port } = await start()
      expect(await fetch(port, given.clients.revoked, { ciphers })).toBe(
        'ALERT_CERTIFICATE_REVOKED',
      )
    },
  )

  test('with TLS 1.2 is hung up on without a reason, and never answered', async () => {
    const { port, log, served } = await start({}, { minVersion: 'TLSv1.2' })
    const old = { maxVersion: 'TLSv1.2' } as const
    expect(await fetch(port, given.clients.good, old)).toContain('"protocol": "TLSv1.2"')
    expect(await fetch(port, given.clients.revoked, old)).toBe('ECONNRESET')
    expect(await fetch(port, null, old)).toBe('ECONNRESET')
    expect(log).toHaveLength(2)
    expect(served).toHaveLength(1)
  })

  test('has sent a large body already', async () => {
    const { port, served } = await start()
    const socket = await secure(port, given.clients.revoked)
    socket.write(`POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n`)
    socket.write(Buffer.alloc(5_000_000))
    expect(await ended(socket)).toBe('ALERT_CERTIFICATE_REVOKED')
    expect(served).toEqual([])
  })

  test('and stays, is cut off', async () => {
    const { port } = await start()
    const socket = await secure(port, null, { allowHalfOpen: true } as ConnectionOptions)
    const began = Date.now()
    await ended(socket)
    expect(Date.now() - began).toBeLessThan(3_000)
  })
})

describe('authorities that change while the server stands', () => {
  test('let in the clients of the new ones, and those of the old no more', async () => {
    const { port, server, log } = await start()
    const open = await secure(port, given.clients.good)
    const { selfSigned } = given.clients
    const other = { ca: [selfSigned.cert], intermediates: [] }
    expect(await fetch(port, selfSigned)).toBe('ALERT_UNKNOWN_CA')
    server.replaceClientAuthorities(other)
    expect(await fetch(port, selfSigned)).toContain('CN=self-signed')
    expect(await fetch(port, given.clients.good)).toBe('ALERT_UNKNOWN_CA')
    open.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    expect(await ended(open)).toBe('')
    expect(log.slice(1)).toEqual([
      'the certificate of alice@example.test comes from another CA, “CN=intermediate”.',
      'the certificate of alice@example.test comes from another CA, “CN=intermediate”.',
    ])
    server.replaceClientAuthorities({ ca: [given.root], intermediates: ['CN=intermediate'] })
    expect(await fetch(port, given.clients.good)).toContain('CN=good')
  })

  test('let nobody in when none is left', async () => {
    const { port, server, log } = await start()
    server.replaceClientAuthorities({ ca: [] })
    for (const client of [given.clients.good, given.clients.foreign])
      expect(await fetch(port, client)).toBe('ALERT_UNKNOWN_CA')
    expect(new Set(log)).toEqual(new Set(['there is no CA left whose clients could be let in.']))
    expect(await fetch(port, null)).toBe('ALERT_CERTIFICATE_REQUIRED')
  })
})

describe('a verdict', () => {
  test('is not carried over by a session of an earlier connection', async () => {
    const { port, revoked, served } = await start({}, { minVersion: 'TLSv1.2' })
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const { answer, session } = await resumable(port, given.clients.good, { maxVersion })
      expect(answer).toContain('"resumed": false')
      expect(session).toBeInstanceOf(Buffer)
      const again = await resumable(port, given.clients.good, { maxVersion, session })
      expect(again.answer).toContain('"resumed": false')
      revoked.add(given.serialOf('good'))
      const last = await resumable(port, given.clients.good, { maxVersion, session })
      const stolen = await resumable(port, null, { maxVersion, session })
      expect([last.answer, stolen.answer]).toEqual(['', ''])
      revoked.delete(given.serialOf('good'))
    }
    expect(served).toHaveLength(4)
  })

  test.each(['http/1.1', 'h2'])(
    'counts for the next request of an open %s connection',
    async (protocol) => {
      const { port, log, served, revoked } = await start()
      const serial = given.serialOf('good')
      if (protocol === 'h2') {
        const session = connectHttp2(`https://localhost:${port}`, {
          ...given.clients.good,
          ca: given.root,
        })
        session.on('error', () => {})
        expect(await onHttp2(session)).toContain('CN=good')
        revoked.add(serial)
        const body = await onHttp2(session).catch(() => '')
        expect(body).toBe('')
        await expect.poll(() => session.destroyed).toBe(true)
      } else {
        const socket = await secure(port, given.clients.good)
        socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
        expect(String((await once(socket, 'data'))[0])).toContain('200 OK')
        revoked.add(serial)
        socket.removeAllListeners('data')
        socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
        await ended(socket)
      }
      expect(log).toEqual([expect.stringContaining('was revoked on')])
      expect(served.filter((path) => path === '/')).not.toHaveLength(0)
    },
  )

  test('counts the clock of the server, for a connection that outlives the certificate', async () => {
    let now = new Date()
    const { port, log } = await start({ now: () => now })
    expect(await fetch(port, given.clients.good)).toContain('CN=good')
    now = new Date(now.getTime() + 31 * 86_400_000)
    expect(await fetch(port, given.clients.good)).toBe('ALERT_CERTIFICATE_EXPIRED')
    expect(log).toHaveLength(1)
  })

  test('that cannot be found is a refusal', async () => {
    const { port, log, served } = await start({
      revocationOf: () => Promise.reject(new Error('The record is damaged.')),
    })
    expect(await fetch(port, given.clients.good)).toBe('ALERT_INTERNAL_ERROR')
    expect([log, served]).toEqual([['the client cannot be judged: The record is damaged.'], []])
  })

  test('needs a CA: with none, Node would let in the clients of every public one', () => {
    expect(() => createClientGate({ ca: [] })).toThrow(
      expect.objectContaining({ code: 'no-authority' }),
    )
  })
})

test('a client that goes away while it is judged does no harm', async () => {
  const { port } = await start({
    revocationOf: () => new Promise((resolve) => setTimeout(resolve, 100, null)),
  })
  const socket = await secure(port, given.clients.good)
  socket.destroy()
  expect(await fetch(port, given.clients.good)).toContain('CN=good')
})

async function secure(
  port: number,
  client: Issued | null,
  tls: ConnectionOptions = {},
): Promise<TLSSocket> {
  const socket = connect({ ...client, ...tls, port, ca: given.root, servername: 'localhost' })
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

/** The code of the error that ended a connection; an empty text: none. */
async function ended(socket: TLSSocket): Promise<string> {
  let code = ''
  socket.on('error', (error) => (code ||= codeOf(error)))
  socket.resume()
  if (!socket.closed) await once(socket, 'close').catch(() => {})
  return code
}

/** One request, and the session that the server offered for the next. */
async function resumable(port: number, client: Issued | null, tls: ConnectionOptions) {
  const socket = connect({ ...client, ...tls, port, ca: given.root, servername: 'localhost' })
  let answer = ''
  let session: Buffer | undefined
  socket.on('session', (offered) => (session = offered))
  socket.on('data', (data: Buffer) => (answer += data.toString()))
  socket.on('error', () => {})
  socket.write(
    'GET / HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nConnection: close\r\n\r\n',
  )
  if (!socket.closed) await once(socket, 'close').catch(() => {})
  return { answer, session: session ?? socket.getSession() }
}
