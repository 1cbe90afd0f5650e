import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { ask1, ask2, openHttp2, secure, speak, type Target } from './clients.ts'
import { startBoth, startProxy } from './harness.ts'

/** Starts a server that is no HTTP server of Node's, for what those would not do. */
async function startRaw(onConnection: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).once('close', () => sockets.delete(socket))
    onConnection(socket)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { origin, open: () => sockets.size }
}

const get = (path: string, ...fields: string[]): string =>
  [`GET ${path} HTTP/1.1`, 'Host: app.localhost', ...fields, '', ''].join('\r\n')

const upgrade = get(
  '/ws',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version: 13',
)

test.each([
  ['an upgrade', upgrade],
  ['a CONNECT', 'CONNECT app.localhost:443 HTTP/1.1\r\nHost: app.localhost\r\n\r\n'],
])('%s behind a request on its way ends the connection, and nothing else', async (_, second) => {
  const { target } = await startBoth()
  await speak(target, get('/echo') + second)
  expect(target.errors).toEqual([])
  expect((await ask1(target, '/echo')).status).toBe(200)
  // After its answer, the same connection may be upgraded.
  const socket = secure(target, ['http/1.1'])
  await once(socket, 'secureConnect')
  let text = ''
  socket.on('data', (part: Buffer) => (text += part.toString('latin1')))
  socket.write(get('/echo'))
  await expect.poll(() => text).toContain('"url":"/echo"')
  socket.write(upgrade)
  await expect.poll(() => text).toContain('HTTP/1.1 101 ')
})

test('requests of one connection are answered one after the other, and few may wait', async () => {
  const { target } = await startBoth()
  const some = Array.from({ length: 10 }, (_, i) => get(`/echo?${i}`)).join('')
  const text = await speak(target, some, (answer) => answer.includes('"url":"/echo?9"'))
  const urls = [...text.matchAll(/"url":"(\/echo\?\d+)"/g)].map(([, url]) => url)
  expect(urls).toEqual(Array.from({ length: 10 }, (_, i) => `/echo?${i}`))

  const silent = await startRaw((socket) => socket.resume())
  const proxy = await startProxy({ 'app.localhost': silent.origin })
  expect(await speak(proxy, get('/').repeat(1_000))).toBe('')
  await expect.poll(silent.open).toBe(0)
  // A client that goes away takes with it what waits.
  const socket = secure(proxy, ['http/1.1'])
  await once(socket, 'secureConnect')
  socket.write(get('/').repeat(10))
  await expect.poll(silent.open).toBe(1)
  socket.destroy()
  await expect.poll(silent.open).toBe(0)
})

test('no body is announced for a WebSocket over HTTP/2', async () => {
  const { app, target } = await startBoth()
  const session = await openHttp2(target)
  for (const more of [{ 'content-length': '60' }, { expect: '100-continue' }]) {
    const stream = session.request({
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'https',
      ':path': '/ws',
      ':authority': `app.localhost:${target.port}`,
      ...more,
    })
    const [headers] = (await once(stream, 'response')) as [{ ':status': number }]
    expect(headers[':status'], JSON.stringify(more)).toBe(400)
  }
  expect(app.requests()).toBe(0)
})

test.each(['connect', 'head', 'gET', 'patch', 'GET POST', 'GET\u007f'])(
  'the method %j over HTTP/2 reaches no app',
  async (method) => {
    const { app, target } = await startBoth()
    const answer = await ask2(target, '/echo', { method }).catch(() => ({ status: null }))
    expect([400, 405, null]).toContain(answer.status)
    expect(app.requests()).toBe(0)
  },
)

test.each([
  ['HTTP/1.1', ask1],
  ['HTTP/2', ask2],
])('over %s, a flood of interim answers is cut, and the last answer comes', async (_, ask) => {
  const flood = await startRaw((socket) => {
    const link = `Link: </${'x'.repeat(1_000)}>; rel=preload\r\n`
    socket.write(`HTTP/1.1 103 Early Hints\r\n${link}\r\n`.repeat(500))
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
  })
  const proxy: Target = await startProxy({ 'app.localhost': flood.origin })
  const answer = await ask(proxy, '/')
  expect([answer.status, answer.body.toString(), answer.interim.length]).toEqual([200, 'ok', 32])
})
