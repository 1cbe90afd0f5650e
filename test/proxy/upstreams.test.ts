import { once } from 'node:events'
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startApp } from './app.ts'
import { ask1, ask2, openHttp2 } from './clients.ts'
import { acceptFor } from './frames.ts'
import { authority, startProxy } from './harness.ts'

/** Starts a server that speaks HTTP/2 without TLS. */
async function startH2c(onStream: (stream: ServerHttp2Stream, path: string) => void) {
  const server = createHttp2Server()
  const sessions = new Set<{ destroy(): void }>()
  server.on('session', (session) => sessions.add(session))
  server.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    onStream(stream, headers[':path'] ?? '')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = (): void => {
    server.close()
    for (const session of sessions) session.destroy()
  }
  onTestFinished(stop)
  return { origin: `h2c://127.0.0.1:${(server.address() as AddressInfo).port}`, stop, sessions }
}

/** What a gRPC server does with a stream of messages in both directions. */
const grpcEcho = (stream: ServerHttp2Stream): void => {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.on('data', (part: Buffer) => stream.write(part))
  stream.on('end', () => stream.end())
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'grpc-message': 'ok' }))
}

describe('an upstream that speaks HTTP/2 without TLS', () => {
  test('streams both ways, with trailers, as gRPC does', async () => {
    const { origin } = await startH2c(grpcEcho)
    const target = await startProxy({ 'app.localhost': origin })
    const session = await openHttp2(target)
    const stream = session.request({
      ':method': 'POST',
      ':path': '/shop.Cart/Watch',
      ':authority': 'app.localhost',
      'content-type': 'application/grpc',
      te: 'trailers',
    })
    let [got, trailers] = ['', {}]
    stream.on('data', (part: Buffer) => (got += part.toString()))
    stream.on('trailers', (each) => (trailers = { ...each }))
    for (const message of ['a', 'b', 'c']) {
      stream.write(message)
      await expect.poll(() => got.at(-1)).toBe(message)
    }
    stream.end()
    await once(stream, 'close')
    expect(trailers).toMatchObject({ 'grpc-status': '0', 'grpc-message': 'ok' })
  })

  test('gets no field of HTTP/1, and answers clients of both versions', async () => {
    const seen: object[] = []
    const { origin } = await startH2c((stream) => {
      seen.push({ ...stream.sentHeaders })
      stream.respond({ ':status': 200 })
      stream.end('ok')
    })
    const target = await startProxy({ 'app.localhost': origin })
    for (const ask of [ask1, ask2]) {
      const answer = await ask(target, '/', { method: 'POST', body: 'body' })
      expect([answer.status, answer.body.toString()]).toEqual([200, 'ok'])
    }
  })

  test('answers by trailers alone', async () => {
    const { origin } = await startH2c((stream) =>
      stream.respond({ ':status': 200, 'grpc-status': '12' }, { endStream: true }),
    )
    const target = await startProxy({ 'app.localhost': origin })
    const answer = await ask2(target, '/', { method: 'POST', body: 'x' })
    expect([answer.status, answer.headers['grpc-status'], answer.error]).toEqual([200, '12', null])
  })

  test('breaks off, and the client learns it', async () => {
    const { origin } = await startH2c((stream) => {
      stream.respond({ ':status': 200 })
      stream.write('partial')
      setTimeout(() => stream.destroy(new Error('broken')), 50)
    })
    const target = await startProxy({ 'app.localhost': origin })
    for (const ask of [ask1, ask2]) {
      const answer = await ask(target, '/')
      expect([answer.body.toString(), answer.error]).toEqual(['partial', expect.any(String)])
    }
  })

  test('is asked over a new connection when the old one has ended', async () => {
    const { origin, sessions } = await startH2c((stream) => {
      stream.respond({ ':status': 200 })
      stream.end('ok')
    })
    const target = await startProxy({ 'app.localhost': origin })
    expect((await ask2(target, '/')).status).toBe(200)
    for (const session of sessions) session.destroy()
    await expect.poll(async () => (await ask2(target, '/')).status).toBe(200)
    expect(sessions.size).toBeGreaterThan(1)
  })

  test('that is not there is a page with its port', async () => {
    const target = await startProxy({ 'app.localhost': 'h2c://127.0.0.1:1' })
    for (const ask of [ask1, ask2]) {
      const answer = await ask(target, '/')
      expect(answer.status).toBe(502)
      expect(answer.body.toString()).toContain('port 1 of 127.0.0.1, but nothing listens there')
    }
  })
})

describe('an upstream with TLS', () => {
  async function startTls(fault?: 'self-signed' | 'wrong-name' | 'expired') {
    const { authority: ca } = await authority()
    const pair = await ca.certificate('localhost', fault === undefined ? {} : { fault })
    const server = createHttpsServer(pair, (_request, response) => response.end('ok'))
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    return `https://localhost:${(server.address() as AddressInfo).port}`
  }

  test('is trusted by the given roots', async () => {
    const { authority: ca } = await authority()
    const routes = { 'app.localhost': await startTls() }
    const trusting = await startProxy(routes, { roots: () => [ca.root] })
    for (const ask of [ask1, ask2]) expect((await ask(trusting, '/')).status).toBe(200)
    const other = await startProxy(routes)
    const answer = await ask2(other, '/')
    expect([answer.status, answer.headers['proxy-status']]).toEqual([
      502,
      'rootling; error=tls_certificate_error',
    ])
  })

  test.each(['self-signed', 'wrong-name', 'expired'] as const)(
    'that is %s is a page',
    async (fault) => {
      const { authority: ca } = await authority()
      const origin = await startTls(fault)
      const target = await startProxy({ 'app.localhost': origin }, { roots: () => [ca.root] })
      const answer = await ask1(target, '/')
      expect(answer.status).toBe(502)
      expect(answer.body.toString()).toContain('its certificate is not trusted')
    },
  )

  test('opens WebSockets too', async () => {
    const { authority: ca } = await authority()
    const server = createHttpsServer(await ca.certificate('localhost'))
    server.on('upgrade', (request, socket) => {
      const accept = acceptFor(request.headers['sec-websocket-key'] ?? '')
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
          `Sec-WebSocket-Accept: ${accept}\r\n\r\nfirst`,
      )
      socket.on('data', (part: Buffer) => socket.end(part))
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const origin = `https://localhost:${(server.address() as AddressInfo).port}`
    const target = await startProxy({ 'app.localhost': origin }, { roots: () => [ca.root] })
    const session = await openHttp2(target)
    const stream = session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'https',
      ':path': '/',
      ':authority': 'app.localhost',
    })
    let text = ''
    stream.on('data', (part: Buffer) => (text += part.toString()))
    const [headers] = (await once(stream, 'response')) as [Record<string, number>]
    stream.write(' then')
    await once(stream, 'end')
    expect([headers[':status'], text]).toEqual([200, 'first then'])
  })

  test('takes roots that came later', async () => {
    const { authority: ca } = await authority()
    const roots: string[] = []
    const target = await startProxy({ 'app.localhost': await startTls() }, { roots: () => roots })
    expect((await ask1(target, '/')).status).toBe(502)
    roots.push(ca.root)
    expect((await ask1(target, '/')).status).toBe(200)
  })

  test('is told apart from one without', async () => {
    const tls = await startTls()
    const plain = await startProxy({ 'app.localhost': tls.replace('https', 'http') })
    const wrong = await ask1(plain, '/')
    expect(wrong.status).toBe(502)
    expect(wrong.body.toString()).toContain('--to https://localhost:')
    const app = await startApp()
    onTestFinished(() => app.close())
    const target = await startProxy({ 'app.localhost': `https://127.0.0.1:${app.port}` })
    const answer = await ask1(target, '/')
    expect(answer.headers['proxy-status']).toBe('rootling; error=tls_protocol_error')
    expect(answer.body.toString()).toContain('--to http://127.0.0.1:')
  })
})

test('a WebSocket to an upstream that speaks HTTP/2 alone is refused by 501', async () => {
  const { origin } = await startH2c(() => {})
  const target = await startProxy({ 'app.localhost': origin })
  const session = await openHttp2(target)
  const stream = session.request({
    ':method': 'CONNECT',
    ':protocol': 'websocket',
    ':scheme': 'https',
    ':path': '/',
    ':authority': 'app.localhost',
  })
  const [headers] = (await once(stream, 'response')) as [Record<string, number>]
  expect(headers[':status']).toBe(501)
})
