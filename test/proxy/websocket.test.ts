import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { describe, expect, onTestFinished, test } from 'vitest'
import { acceptFor, frame, frameReader, type Frame } from './frames.ts'
import { openHttp2, secure, speak, statusIn, type Target } from './clients.ts'
import { startBoth, startProxy } from './harness.ts'

const key = 'dGhlIHNhbXBsZSBub25jZQ=='
const upgrade = (target: Target, path = '/ws', ...more: string[]): string =>
  [
    `GET ${path} HTTP/1.1`,
    `Host: ${target.host}:${target.port}`,
    'Connection: keep-alive, Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    `Sec-WebSocket-Key: ${key}`,
    'Sec-WebSocket-Protocol: chat',
    ...more,
    '',
    '',
  ].join('\r\n')

/** Opens a WebSocket over HTTP/1.1; returns the head of the answer. */
async function open1(target: Target): Promise<{ socket: Duplex; head: string }> {
  const socket = secure(target, ['http/1.1'])
  socket.write(upgrade(target))
  const [part] = (await once(socket, 'data')) as [Buffer]
  return { socket, head: part.toString() }
}

/** Opens a WebSocket over HTTP/2 (RFC 8441). */
async function open2(target: Target, protocol = 'websocket', path = '/ws') {
  const session = await openHttp2(target)
  const stream = session.request({
    ':method': 'CONNECT',
    ':protocol': protocol,
    ':scheme': 'https',
    ':path': path,
    ':authority': `${target.host}:${target.port}`,
    'sec-websocket-version': '13',
    'sec-websocket-protocol': 'chat',
  })
  stream.on('error', () => {})
  const [headers] = (await once(stream, 'response')) as [Record<string, string | number>]
  return { session, stream, headers }
}

async function echoed(socket: Duplex, payloads: readonly Buffer[]): Promise<Frame[]> {
  const frames: Frame[] = []
  socket.on(
    'data',
    frameReader((each) => void frames.push(each)),
  )
  for (const payload of payloads) socket.write(frame(payload, true))
  await expect.poll(() => frames.length).toBe(payloads.length)
  return frames
}

const payloads = [Buffer.from('hello'), Buffer.alloc(1_000, 'k'), Buffer.alloc(1_000_000, 'm')]

/** To compare a long buffer by `toEqual` takes seconds. */
const same = payloads.map(() => true)

describe('a WebSocket', () => {
  test('works over HTTP/1.1', async () => {
    const { target } = await startBoth()
    const { socket, head } = await open1(target)
    expect(statusIn(head)).toBe(101)
    expect(head).toContain(`\r\nSec-WebSocket-Accept: ${acceptFor(key)}\r\n`)
    expect(head).toContain('\r\nSec-WebSocket-Protocol: chat\r\n')
    const frames = await echoed(socket, payloads)
    expect(frames.map(({ payload }, i) => payload.equals(payloads[i] ?? payload))).toEqual(same)
    expect(target.entries[0]).toMatchObject({ status: 101, app: 'app.localhost', path: '/ws' })
  })

  test('works over HTTP/2', async () => {
    const { target } = await startBoth()
    const { stream, headers, session } = await open2(target)
    expect(session.remoteSettings.enableConnectProtocol).toBe(true)
    expect(headers[':status']).toBe(200)
    expect(headers['sec-websocket-accept']).toBeUndefined()
    expect(headers['sec-websocket-protocol']).toBe('chat')
    const frames = await echoed(stream, payloads)
    expect(frames.map(({ payload }, i) => payload.equals(payloads[i] ?? payload))).toEqual(same)
    expect(target.entries[0]).toMatchObject({ status: 101, method: 'CONNECT' })
  })

  test('is closed at both ends when the app closes it', async () => {
    const { target } = await startBoth()
    const { socket } = await open1(target)
    socket.write(frame(Buffer.from([0x03, 0xe8]), true, 8))
    await once(socket.resume(), 'end')
    const { stream } = await open2(target)
    stream.write(frame(Buffer.from([0x03, 0xe8]), true, 8))
    await once(stream.resume(), 'end')
    expect(stream.rstCode).toBe(0)
  })

  test('is broken off for the client when the app breaks it off, and the other way', async () => {
    const { app, target } = await startBoth()
    const first = await open1(target)
    const second = await open2(target)
    const closed = [once(first.socket.resume(), 'close'), once(second.stream.resume(), 'close')]
    app.close()
    expect(await Promise.all(closed)).toHaveLength(2)
  })

  test('whose opening the app refuses gets the answer of the app', async () => {
    const { target } = await startBoth()
    const answer = await speak(target, upgrade(target, '/no-upgrade'))
    expect([statusIn(answer), answer.endsWith('\r\n\r\nno\n')]).toEqual([403, true])
    const { headers, stream } = await open2(target, 'websocket', '/no-upgrade')
    expect(headers[':status']).toBe(403)
    stream.close()
  })

  test('whose app takes no upgrade gets its ordinary answer', async () => {
    const server = createServer((_request, response) => response.end('plain')).listen(
      0,
      '127.0.0.1',
    )
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const target = await startProxy({ 'app.localhost': `http://127.0.0.1:${port}` })
    expect(await speak(target, upgrade(target))).toMatch(/^HTTP\/1\.1 200 [^]*plain$/)
    expect((await open2(target)).headers[':status']).toBe(200)
  })

  test('to a port where nothing listens gets 502', async () => {
    const target = await startProxy({ 'app.localhost': 'http://127.0.0.1:1' })
    expect(statusIn(await speak(target, upgrade(target)))).toBe(502)
    expect((await open2(target)).headers[':status']).toBe(502)
  })

  test('over HTTP/2 is refused when the app does not prove that it knows WebSocket', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    server.on('upgrade', (_request, socket) =>
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
          'Sec-WebSocket-Accept: AAAA\r\n\r\n',
      ),
    )
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    const target = await startProxy({ 'app.localhost': `http://127.0.0.1:${port}` })
    expect((await open2(target)).headers[':status']).toBe(502)
  })
})

test('another protocol for CONNECT is refused by 501, and CONNECT without one by 405', async () => {
  const { target } = await startBoth()
  expect((await open2(target, 'connect-udp')).headers[':status']).toBe(501)
  const session = await openHttp2(target)
  const stream = session.request({ ':method': 'CONNECT', ':authority': '127.0.0.1:22' })
  const [headers] = (await once(stream, 'response')) as [Record<string, string>]
  expect(headers[':status']).toBe(405)
  const answer = await speak(target, 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n')
  expect(statusIn(answer)).toBe(405)
  expect(answer).toContain('opens no tunnels')
})

test('an upgrade to HTTP/2 is not made, and the request answered', async () => {
  const { target } = await startBoth()
  const head = ['GET /echo HTTP/1.1', `Host: ${target.host}`, 'Connection: Upgrade, HTTP2-Settings']
  const answer = await speak(
    target,
    [...head, 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA', '', ''].join('\r\n'),
  )
  expect(statusIn(answer)).toBe(200)
  expect(answer).not.toMatch(/h2c|HTTP2-Settings/i)
})

test('a large answer to an upgrade that was not made comes whole', async () => {
  const { target } = await startBoth()
  const head = [`GET /big?size=5000000 HTTP/1.1`, `Host: ${target.host}`, 'Connection: Upgrade']
  const answer = await speak(target, [...head, 'Upgrade: h2c', '', ''].join('\r\n'))
  expect(answer.replaceAll(/[^b]/g, '').length).toBeGreaterThanOrEqual(5_000_000)
})
