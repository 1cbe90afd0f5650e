import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest'
import { RawClient } from '../../acme/raw.ts'
import { obtain, startResponder, type Responder } from '../../acme/responder.ts'
import { hear, open, speak, type Heard, type Port } from './http1.ts'
import { startPorts, type Ports } from './ports.ts'

// More than the 512 connections that a server keeps.
const crowd = 600

let ports: Ports
let responder: Responder
let ca: string
beforeAll(async () => {
  ports = await startPorts()
  responder = await startResponder(undefined, ports.daemon.http01)
  ca = await ports.daemon.root()
})
afterAll(async () => {
  await responder.close()
  await ports.close()
})
afterEach(() => unharmed())

/** A client that came just now gets a certificate, its revocation status and the demo page. */
async function stillServes(): Promise<void> {
  const client = await new RawClient(ports.daemon.acme, ca).start()
  const { chain } = await obtain(client, ['honest.localhost'], responder)
  expect(chain).toContain('BEGIN CERTIFICATE')
  client.close()
  const get = (port: Port, path: string) => speak(port, [`GET ${path} HTTP/1.1`, 'Host: localhost'])
  for (const port of [ports.revocation, ports.ocsp])
    expect((await get(port, '/local.crl')).status).toBe(200)
  expect((await get(ports.demo, '/')).status).toBe(200)
}

async function unharmed(): Promise<void> {
  await stillServes()
  // An idle daemon takes about 90 MiB.
  if (process.platform === 'linux') expect(await megabytes()).toBeLessThan(300)
}

/** The most memory that the daemon has ever taken. */
async function megabytes(): Promise<number> {
  const status = await readFile(`/proc/${ports.daemon.pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024
}

interface Crowded {
  readonly socket: Socket
  readonly heard: Promise<Heard>
}

/** Many connections, 50 at a time, each with what is sent; closed at the end of the test. */
async function openMany(port: Port, count: number, data: string): Promise<readonly Crowded[]> {
  const sockets: Crowded[] = []
  onTestFinished(() => sockets.forEach(({ socket }) => socket.destroy()))
  while (sockets.length < count) {
    const some = await Promise.allSettled(Array.from({ length: 50 }, () => open(port)))
    for (const one of some) {
      if (one.status === 'rejected') continue
      one.value.write(data)
      sockets.push({ socket: one.value, heard: hear(one.value) })
    }
  }
  return sockets
}

const portsByName = (): [string, Port][] => {
  const { acme, revocation, ocsp, demo } = ports
  return Object.entries({ acme, revocation, ocsp, demo })
}

test('idle connections lock nobody out, and the oldest are closed', async () => {
  for (const [name, port] of [
    ['acme', ports.acme],
    ['revocation', ports.revocation],
  ] as const) {
    const sockets = await openMany(port, crowd, '')
    await stillServes()
    expect([name, sockets.filter(({ socket }) => !socket.closed).length <= 512]).toEqual([
      name,
      true,
    ])
    expect(sockets.at(-1)?.socket.closed).toBe(false)
  }
})

test('heads that never end lock nobody out and are cut', async () => {
  const sockets = await openMany(ports.acme, crowd, 'GET /acme/directory HTTP/1.1\r\nHost: loc')
  await stillServes()
  expect((await sockets.at(-1)?.heard)?.status).toBe(408)
})

test('bodies that never end lock nobody out and take little memory', async () => {
  const head = [
    'POST /acme/new-order HTTP/1.1',
    'Host: localhost',
    'Content-Type: application/jose+json',
    'Content-Length: 130000',
  ]
  const data = `${head.join('\r\n')}\r\n\r\n${'x'.repeat(120_000)}`
  const sockets = await openMany(ports.acme, crowd, data)
  await stillServes()
  expect(sockets.at(-1)?.socket.closed).toBe(false)
})

test('a head or a body that trickles is cut after seconds on every port', async () => {
  const outcomes = portsByName().flatMap(([name, port]) =>
    ['GET / HTTP/1.1\r\n', 'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n'].map(
      async (start): Promise<string | null> => {
        const socket = await open(port)
        socket.write(start)
        const trickle = setInterval(() => socket.write('a: b\r\n'), 500)
        socket.resume()
        const late = setTimeout(() => socket.destroy(new Error('late')), 20_000)
        let reason: string | null = null
        socket.on('error', ({ message }) => (reason = message === 'late' ? name : null))
        await once(socket, 'close').catch(() => undefined)
        clearInterval(trickle)
        clearTimeout(late)
        return reason
      },
    ),
  )
  expect(await Promise.all(outcomes)).toEqual(outcomes.map(() => null))
})

test('what is too large is refused on every port, with the status that says so', async () => {
  for (const [name, port] of portsByName()) {
    const large = `X: ${'x'.repeat(17_000)}`
    const many = Array.from({ length: 200 }, (_, i) => `X-${i}: 1`)
    for (const headers of [[large], many]) {
      const heard = await speak(port, ['GET / HTTP/1.1', 'Host: localhost', ...headers])
      expect([name, heard.status]).toEqual([name, 431])
    }
  }
  const post = (port: Port, path: string, type: string, body: string) =>
    speak(
      port,
      [
        `POST ${path} HTTP/1.1`,
        'Host: localhost',
        `Content-Type: ${type}`,
        `Content-Length: ${body.length}`,
      ],
      body,
    )
  const megabyte = 'x'.repeat(1_000_000)
  const acme = await post(ports.acme, '/acme/new-order', 'application/jose+json', megabyte)
  expect(acme.status).toBe(413)
  for (const port of [ports.revocation, ports.ocsp])
    expect((await post(port, '/ocsp', 'application/ocsp-request', megabyte)).status).toBe(413)
})

test('requests without number are answered, and a client among them as well', async () => {
  let going = true
  let answered = 0
  const flood = Array.from({ length: 20 }, async () => {
    const client = await new RawClient(ports.daemon.acme, ca).start(null)
    while (going) {
      const { status } = await client.send('GET', client.to('newNonce'))
      if (status === 204) answered++
    }
    client.close()
  })
  for (let i = 0; i < 3; i++) await stillServes()
  going = false
  await Promise.all(flood)
  expect(answered).toBeGreaterThan(100)
})
