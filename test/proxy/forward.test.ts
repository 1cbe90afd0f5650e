import { once } from 'node:events'
import { createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { Echo } from './app.ts'
import { startApp } from './app.ts'
import { ask1, ask2, openHttp2, secure, speak, statusIn, type Answered } from './clients.ts'
import { authority, startBoth, startProxy } from './harness.ts'
import { http2Frame, openBare, request } from './http2-frames.ts'
import { createProxyServer } from '../../src/proxy/proxy-server.ts'
import { hasIpv6Loopback } from '../helpers/https-server.ts'

const echoIn = ({ body }: Answered): Echo => JSON.parse(body.toString()) as Echo
const text = ({ body }: Answered): string => body.toString()
const valuesOf = (raw: readonly string[], name: string): string[] =>
  raw.filter((_, i) => i % 2 === 1 && raw[i - 1]?.toLowerCase() === name)
const both = [
  ['HTTP/1.1', ask1],
  ['HTTP/2', ask2],
] as const

/** A server that answers by code over the bare connection. */
async function startRaw(onConnection: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>()
  const server = createTcpServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    onConnection(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

describe.each(both)('over %s', (version, ask) => {
  test('forwards a request and its answer', async () => {
    const { target } = await startBoth()
    const answer = await ask(target, '/')
    expect([answer.status, text(answer), answer.error]).toEqual([200, 'a'.repeat(1_024), null])
    await expect.poll(() => target.entries.length).toBe(1)
    const { time, milliseconds, fields, answered, ...entry } = target.entries[0] ?? ({} as never)
    expect(time).toBeInstanceOf(Date)
    expect(milliseconds).toBeGreaterThan(0)
    expect([...fields, ...answered].map((each) => each.toLowerCase())).toEqual(
      expect.arrayContaining([version === 'HTTP/2' ? ':authority' : 'host', 'content-length']),
    )
    expect(entry).toEqual({
      host: 'app.localhost',
      path: '/',
      method: 'GET',
      status: 200,
      app: 'app.localhost',
      octets: 1_024,
    })
  })

  test('says who asks, and drops what the client says about that', async () => {
    const { target } = await startBoth()
    const { raw } = echoIn(
      await ask(target, '/echo', {
        headers: {
          'x-forwarded-for': '6.6.6.6',
          'x-forwarded-proto': 'http',
          'x-forwarded-host': 'evil.example',
          x_forwarded_for: '6.6.6.6',
          'x-real-ip': '6.6.6.6',
          forwarded: 'for=6.6.6.6',
          'proxy-authorization': 'Basic eDp5',
          'x-kept': 'yes',
        },
      }),
    )
    const authority = `app.localhost:${target.port}`
    const found = Object.fromEntries(
      raw.flatMap((name, i) =>
        i % 2 === 0
          ? [[name.toLowerCase().replaceAll('_', '-'), valuesOf(raw, name.toLowerCase())]]
          : [],
      ),
    )
    expect(found).toMatchObject({
      host: [authority],
      'x-forwarded-for': ['127.0.0.1'],
      'x-forwarded-proto': ['https'],
      'x-forwarded-host': [authority],
      forwarded: [`for=127.0.0.1;host="${authority}";proto=https`],
      'x-rootling-hops': ['1'],
      'x-kept': ['yes'],
    })
    expect(raw.join()).not.toMatch(/6\.6\.6\.6|evil|eDp5/)
  })

  test('sends bodies of known and unknown length', async () => {
    const { target } = await startBoth()
    const body = Buffer.alloc(300_000, 'x')
    const known = { 'content-length': String(body.length) }
    const lengths = []
    for (const headers of [known, {}]) {
      const echo = echoIn(await ask(target, '/echo', { method: 'POST', body, headers }))
      lengths.push([echo.length, echo.sha, valuesOf(echo.raw, 'content-length')])
    }
    expect(lengths[0]?.[2]).toEqual(['300000'])
    expect(lengths.map(([length]) => length)).toEqual([300_000, 300_000])
    expect(lengths[0]?.[1]).toBe(lengths[1]?.[1])
    const empty = echoIn(await ask(target, '/echo', { method: 'POST' }))
    expect(valuesOf(empty.raw, 'content-length')).toEqual(['0'])
    expect(valuesOf(empty.raw, 'transfer-encoding')).toEqual([])
  })

  test('sends trailers of requests and answers on', async () => {
    const { target } = await startBoth()
    const answer = await ask(target, '/trailers', { headers: { te: 'trailers' } })
    expect(answer.trailers).toMatchObject({ 'grpc-status': '0', 'x-sum': 'abc' })
    const asked = { method: 'POST', body: 'hello', trailers: { 'x-sum': 'abc' } }
    const headers = {
      trailer: 'x-sum',
      ...(version === 'HTTP/2' ? {} : { 'transfer-encoding': 'chunked' }),
    }
    const { trailers } = echoIn(await ask(target, '/echo', { ...asked, headers }))
    expect(trailers.map((each) => each.toLowerCase())).toEqual(['x-sum', 'abc'])
  })

  test('sends early hints on', async () => {
    const { target } = await startBoth()
    const answer = await ask(target, '/early-hints')
    expect([answer.interim, answer.status, text(answer)]).toEqual([[103], 200, 'late'])
  })

  test('answers 204, 304 with a length, and HEAD without a body', async () => {
    const { target } = await startBoth()
    const answers = [
      await ask(target, '/204'),
      await ask(target, '/304'),
      await ask(target, '/', { method: 'HEAD' }),
      await ask(target, '/'),
    ]
    expect(answers.map(({ status, error }) => [status, error])).toEqual([
      [204, null],
      [304, null],
      [200, null],
      [200, null],
    ])
    expect(answers[1]?.headers['content-length']).toBe('500')
    expect(answers[2]?.headers['content-length']).toBe('1024')
  })

  test('keeps lists of cookies and drops what belongs to a connection', async () => {
    const { target } = await startBoth()
    const cookies = await ask(target, '/cookies')
    expect(cookies.headers['set-cookie']).toEqual(['a=1; Path=/', 'b=2; Path=/'])
    if (version === 'HTTP/1.1') expect(cookies.raw).toContain('X-Case-Name')
    const { headers, status } = await ask(target, '/connection')
    expect([status, headers['x-secret']]).toEqual([200, undefined])
    if (version === 'HTTP/2') expect(headers['keep-alive']).toBeUndefined()
    const { headers: secured } = await ask(target, '/hsts')
    expect(secured['strict-transport-security']).toBeUndefined()
    const twice = await ask(target, '/twice')
    expect([twice.status, text(twice)]).toEqual([200, 'ok'])
    expect(twice.headers['x-content-type-options']).toMatch(/^nosniff/)
  })

  test('tells the client when the app breaks off its answer', async () => {
    const { target } = await startBoth()
    for (const path of ['/die', '/die-chunked']) {
      const answer = await ask(target, path)
      expect([path, answer.status, text(answer), answer.error]).toEqual([
        path,
        200,
        'partial',
        expect.any(String),
      ])
    }
    const answer = await ask(target, '/reset')
    expect([answer.status, answer.headers['proxy-status']]).toEqual([
      502,
      'rootling; error=connection_terminated',
    ])
  })

  test('sends on an answer that comes before the end of the upload, and a reset after it', async () => {
    const origin = await startRaw((socket) => {
      socket.once('data', () => {
        // Unread input makes the system reset the connection.
        socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\ntoo large', () =>
          socket.destroy(),
        )
      })
      socket.once('data', () => socket.pause())
    })
    const target = await startProxy({ 'app.localhost': origin })
    const body = Buffer.alloc(20 * 1024 * 1024)
    const answer = await ask(target, '/upload', {
      method: 'POST',
      body,
      headers: { 'content-length': String(body.length) },
    })
    expect([answer.status, text(answer)]).toEqual([413, 'too large'])
  })
})

describe('connections to an app', () => {
  test('are used again', async () => {
    const { app, target } = await startBoth()
    for (let i = 0; i < 5; i++) await ask1(target, '/')
    for (let i = 0; i < 5; i++) await ask2(target, '/')
    expect(app.connections()).toBe(1)
  })

  test('that have died are replaced once, for requests that may be repeated', async () => {
    let connections = 0
    const origin = await startRaw((socket) => {
      const isFirst = connections++ === 0
      let asked = 0
      socket.on('data', () => {
        // The second request on a connection finds it dead.
        if (++asked > 1) return void socket.destroy()
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
        return isFirst
      })
    })
    const target = await startProxy({ 'app.localhost': origin })
    const statuses = []
    for (const method of ['GET', 'GET', 'GET', 'POST'])
      statuses.push((await ask1(target, '/', { method })).status)
    expect(statuses).toEqual([200, 200, 200, 502])
  })
})

test.runIf(hasIpv6Loopback())('finds an app at localhost on ::1 and on 127.0.0.1', async () => {
  for (const host of ['::1', '127.0.0.1']) {
    const app = await startApp(host)
    onTestFinished(() => app.close())
    const target = await startProxy({ 'app.localhost': `http://localhost:${app.port}` })
    expect([host, (await ask1(target, '/')).status]).toEqual([host, 200])
  }
})

test('gives an app its own host where that is asked for', async () => {
  const app = await startApp()
  onTestFinished(() => app.close())
  const origin = new URL(`http://127.0.0.1:${app.port}`)
  const target = await startProxy({ 'app.localhost': { origin, changeOrigin: true } })
  const { raw } = echoIn(await ask2(target, '/echo'))
  expect(valuesOf(raw, 'host')).toEqual([origin.host])
  expect(valuesOf(raw, 'x-forwarded-host')).toEqual([`app.localhost:${target.port}`])
})

describe('100 (Continue)', () => {
  const head = ['POST /echo HTTP/1.1', 'Host: app.localhost', 'Expect: 100-continue']
  const post = (length: number): string =>
    `${[...head, `Content-Length: ${length}`].join('\r\n')}\r\n\r\n`

  test('is asked of the app', async () => {
    const { target } = await startBoth()
    const socket = secure(target, ['http/1.1'])
    let answer = ''
    socket.on('data', (part: Buffer) => (answer += part.toString()))
    socket.write(post(2))
    await expect.poll(() => answer).toBe('HTTP/1.1 100 Continue\r\n\r\n')
    socket.write('ab')
    await expect.poll(() => answer).toContain('"length":2')
  })

  test('is not sent where the app refuses the upload, and the connection ends', async () => {
    const origin = await startRaw((socket) =>
      socket.once('data', () =>
        socket.write('HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno'),
      ),
    )
    const target = await startProxy({ 'app.localhost': origin })
    const answer = await speak(target, post(5))
    expect(statusIn(answer)).toBe(413)
    expect(answer).toMatch(/\r\nConnection: close\r\n/i)
  })

  test('is sent when the app is silent', async () => {
    const origin = await startRaw((socket) => {
      let asked = ''
      socket.on('data', (part) => {
        asked += part.toString()
        if (asked.endsWith('body')) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      })
    })
    const target = await startProxy({ 'app.localhost': origin })
    const socket = secure(target, ['http/1.1'])
    let answer = ''
    socket.on('data', (part: Buffer) => (answer += part.toString()))
    socket.write(post(4))
    await expect.poll(() => answer).toContain('100 Continue')
    socket.write('body')
    await expect.poll(() => answer).toContain('\r\n\r\nok')
  })
})

describe('a client that goes away', () => {
  test('ends the request to the app, over HTTP/1.1', async () => {
    const { app, target } = await startBoth()
    const socket = secure(target, ['http/1.1'])
    socket.write('GET /stream HTTP/1.1\r\nHost: app.localhost\r\n\r\n')
    await once(socket, 'data')
    expect(app.open()).toBe(1)
    socket.destroy()
    await expect.poll(() => app.open()).toBe(0)
  })

  test('ends the request to the app, over HTTP/2', async () => {
    const { app, target } = await startBoth()
    const stream = (await openHttp2(target)).request({
      ':path': '/stream',
      ':authority': 'app.localhost',
    })
    await once(stream, 'data')
    expect(app.open()).toBe(1)
    stream.close(8)
    await expect.poll(() => app.open()).toBe(0)
  })
})

test.each<[string, (socket: TLSSocket) => void]>([
  ['CANCEL', (socket) => socket.write(http2Frame('reset', 0, 1, Buffer.from([0, 0, 0, 8])))],
  ['NO_ERROR', (socket) => socket.write(http2Frame('reset', 0, 1, Buffer.alloc(4)))],
  ['the end of the connection', (socket) => socket.end()],
  ['the loss of the connection', (socket) => socket.destroy()],
  ['GOAWAY', (socket) => socket.end(http2Frame('goaway', 0, 0, Buffer.alloc(8)))],
])('an upload without a length that %s breaks off is not whole', async (_, breakOff) => {
  const received: string[] = []
  let reached = (): void => {}
  const isReached = new Promise<void>((resolve) => (reached = resolve))
  const origin = await startRaw((socket) => {
    let heard = ''
    socket.on('data', (part: Buffer) => {
      heard += part.toString('latin1')
      if (heard.includes('hello')) reached()
    })
    socket.once('close', () => received.push(heard))
  })
  const target = await startProxy({ 'app.localhost': origin })
  const socket = await openBare(target)
  socket.write(request(target, 1, '/', 0))
  socket.write(http2Frame('data', 0, 1, Buffer.from('hello')))
  await isReached
  breakOff(socket)
  await expect.poll(() => received.length).toBe(1)
  expect(received[0]).toContain('5\r\nhello')
  expect(received[0]).not.toContain('\r\n0\r\n')
})

test('sends each event of a stream at once', async () => {
  const { target } = await startBoth()
  const stream = (await openHttp2(target)).request({
    ':path': '/stream',
    ':authority': 'app.localhost',
  })
  const socket = secure(target, ['http/1.1'])
  socket.write('GET /stream HTTP/1.1\r\nHost: app.localhost\r\n\r\n')
  let [first, second] = ['', '']
  stream.on('data', (part: Buffer) => (first += part.toString()))
  socket.on('data', (part: Buffer) => (second += part.toString()))
  await expect.poll(() => first).toContain('data: ')
  await expect.poll(() => second).toContain('data: ')
})

test('answers pipelined requests in their order', async () => {
  const { target } = await startBoth()
  const one = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: app.localhost\r\n\r\n`
  const answer = await speak(
    target,
    one('/early-hints') + one('/cookies'),
    (all) => all.split('HTTP/1.1 200').length === 3 && all.endsWith('ok'),
  )
  expect(answer.indexOf('late')).toBeLessThan(answer.indexOf('a=1'))
})

test('answers a client of HTTP/1.0 without chunks, and closes', async () => {
  const { target } = await startBoth()
  const answer = await speak(target, 'GET /trailers HTTP/1.0\r\nHost: app.localhost\r\n\r\n')
  expect(answer).toMatch(/^HTTP\/1\.1 200 [^]*\r\n\r\nhello$/)
  expect(answer).not.toMatch(/chunked|trailer/i)
})

test('a proxy that closes ends streams and WebSockets that do not end themselves', async () => {
  const app = await startApp()
  onTestFinished(() => app.close())
  const { pair, authority: ca } = await authority()
  const server = await createProxyServer({
    host: '127.0.0.1',
    port: 0,
    pair,
    find: (host) => ({ app: host, origin: new URL(`http://127.0.0.1:${app.port}`) }),
    hosts: () => [],
    now: () => new Date(),
  })
  const target = { port: server.port, ca: ca.root, host: 'app.localhost' }
  const socket = secure(target, ['http/1.1'])
  socket.write('GET /stream HTTP/1.1\r\nHost: app.localhost\r\n\r\n')
  const stream = (await openHttp2(target)).request({
    ':path': '/stream',
    ':authority': 'app.localhost',
  })
  stream.on('error', () => {})
  await Promise.all([once(socket, 'data'), once(stream, 'data')])
  const closed = [once(socket, 'close'), once(stream, 'close')]
  await server.close({ drainMilliseconds: 100 })
  expect(await Promise.all(closed)).toHaveLength(2)
  await expect.poll(() => app.open()).toBe(0)
})
