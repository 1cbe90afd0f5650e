import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp, type Socket } from 'node:net'
import { Duplex } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { describeConnectionError } from '../../src/server/connection-error.ts'
import {
  createHttpsServer,
  type HttpsServer,
  type HttpsServerOptions,
} from '../../src/server/https.ts'
import { freePort } from '../helpers/free-port.ts'
import { OpensslAuthority, type Issued } from '../helpers/openssl-authority.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { run } from './peers.ts'
import { binaryHeader, v4, v6 } from './proxy-headers.ts'

let authority: OpensslAuthority
let pair: Issued
let rootFile: string

beforeAll(() => {
  authority = new OpensslAuthority()
  pair = authority.leaf('server')
  rootFile = authority.write('trusted.pem', authority.get('root').cert)
})
afterAll(() => authority.remove())

interface Started {
  readonly server: HttpsServer
  /** The sentences about connections that were closed, with their addresses. */
  readonly errors: string[]
  /** The addresses of the request log. */
  readonly logged: string[]
}

/** A server that answers with the address and port of its client, behind balancers of this machine. */
async function start(options: Partial<HttpsServerOptions> = {}): Promise<Started> {
  const errors: string[] = []
  const logged: string[] = []
  const server = await createHttpsServer({
    pair,
    handler: ({ socket }, response) => {
      response.end(`${socket.remoteFamily} ${socket.remoteAddress} ${socket.remotePort}\n`)
    },
    port: 0,
    proxies: ['127.0.0.0/8'],
    onRequest: ({ remoteAddress }) => logged.push(remoteAddress),
    onConnectionError: (error, address) =>
      errors.push(`${address}: ${describeConnectionError(error)}`),
    ...options,
  })
  onTestFinished(() => server.close({ drainMilliseconds: 0 }))
  return { server, errors, logged }
}

function open({ server }: Started): Socket {
  const socket = connectTcp(server.port, server.host)
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return socket
}

const line = (address: string, port = 4000): Buffer =>
  Buffer.from(`PROXY TCP4 ${address} 192.0.2.1 ${port} 443\r\n`)

async function secure(socket: Socket | Duplex, ALPNProtocols: string[] = []): Promise<TLSSocket> {
  const tls = connectTls({
    socket,
    ca: authority.get('root').cert,
    host: '127.0.0.1',
    ALPNProtocols,
  })
  tls.on('error', () => {})
  onTestFinished(() => void tls.destroy())
  await once(tls, 'secureConnect')
  return tls
}

async function through(started: Started, header: Buffer): Promise<TLSSocket> {
  const socket = open(started)
  socket.write(header)
  return secure(socket)
}

/** The answer to one request over HTTP/1.1, after which the connection stays open or not. */
async function ask(socket: Duplex, end = true): Promise<string> {
  socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\n${end ? 'Connection: close\r\n' : ''}\r\n`)
  let text = ''
  for (;;) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    text += chunk.toString()
    const body = /\r\n\r\n[\da-f]*(?:\r\n)?(.*)\n/.exec(text)?.[1]
    if (body !== undefined) return body
  }
}

async function closed(socket: Duplex): Promise<void> {
  socket.resume()
  if (!socket.closed) await once(socket, 'close')
}

describe('a balancer of the PROXY protocol', () => {
  test.each([
    ['version 1', line('203.0.113.9'), 'IPv4 203.0.113.9 4000'],
    ['version 2', binaryHeader(0x21, 0x11, v4('203.0.113.9', 4001)), 'IPv4 203.0.113.9 4001'],
    ['version 2, IPv6', binaryHeader(0x21, 0x21, v6('2001:db8::9', 1)), 'IPv6 2001:db8::9 1'],
  ])('shows the client by %s, over HTTP/1.1, HTTP/2 and plain HTTP', async (_, header, client) => {
    const started = await start()
    expect(await ask(await through(started, header))).toBe(client)

    const carrier = open(started)
    carrier.write(header)
    const tls = await secure(carrier, ['h2'])
    const session = connectHttp2(started.server.url, { createConnection: () => tls })
    onTestFinished(() => session.destroy())
    const stream = session.request({ ':path': '/' }).setEncoding('utf8')
    expect(await once(stream, 'data')).toEqual([`${client}\n`])

    const plain = open(started)
    plain.write(Buffer.concat([header, Buffer.from('GET / HTTP/1.0\r\nHost: localhost\r\n\r\n')]))
    await closed(plain)
    await expect.poll(() => started.logged).toEqual(Array(3).fill(client.split(' ')[1]))
    expect(started.errors).toEqual([])
  })

  test('may send its header with the first octets of TLS, or octet by octet', async () => {
    const started = await start()
    const header = binaryHeader(0x21, 0x11, v4('203.0.113.9', 4000))
    for (const split of [false, true]) {
      const socket = open(started)
      let sent = false
      const send = async (octets: Buffer): Promise<void> => {
        const singles = split ? header.length + 40 : 0
        for (const octet of octets.subarray(0, singles)) {
          socket.write(Buffer.of(octet))
          await new Promise((resolve) => setImmediate(resolve))
        }
        socket.write(octets.subarray(singles))
      }
      const joined = new Duplex({
        read() {},
        write(chunk: Buffer, _encoding, done) {
          const octets = sent ? chunk : Buffer.concat([header, chunk])
          sent = true
          void send(octets).finally(done)
        },
      })
      socket.setNoDelay(true).on('data', (chunk) => joined.push(chunk))
      expect(await ask(await secure(joined))).toBe('IPv4 203.0.113.9 4000')
    }
    expect(started.errors).toEqual([])
  })

  test.each([
    ['LOCAL', binaryHeader(0x20, 0x11, v4('203.0.113.9', 4000))],
    ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n')],
  ])('speaks for itself by %s', async (_, header) => {
    expect(await ask(await through(await start(), header))).toMatch(/^IPv4 127\.0\.0\.1 \d+$/)
  })

  test.each([
    ['nothing at all', '', 'it did not send its whole PROXY header in time.'],
    ['half a header', 'PROXY TCP4 ', 'it did not send its whole PROXY header in time.'],
    ['garbage', '\u0016\u0003\u0001', 'it sent no header of the PROXY protocol'],
    ['a line without an end', `PROXY UNKNOWN${' '.repeat(200)}`, 'its PROXY header has no end'],
    ['no address', 'PROXY TCP4 x y 1 2\r\n', 'its PROXY header names no valid addresses'],
    [
      'a bad length',
      binaryHeader(0x21, 0x11, Buffer.alloc(600)).toString('latin1'),
      'its PROXY header is longer than 552 octets.',
    ],
  ])('that sends %s is cut, with a sentence', async (_, text, sentence) => {
    const started = await start({ limits: { handshakeMilliseconds: 300 } })
    const socket = open(started)
    socket.write(Buffer.from(text, 'latin1'))
    await closed(socket)
    expect(started.errors).toEqual([expect.stringContaining(`127.0.0.1: ${sentence}`)])
    expect(started.logged).toEqual([])
  })

  test('that sends octet after octet without an end is cut in time', async () => {
    const started = await start({ limits: { handshakeMilliseconds: 300 } })
    const socket = open(started)
    let written = 0
    const dripping = setInterval(() => socket.write(written++ === 0 ? 'PROXY U' : ' '), 50)
    onTestFinished(() => clearInterval(dripping))
    await closed(socket)
    expect(started.errors).toEqual([expect.stringContaining('PROXY header in time')])
  })

  test('that only looks whether the server is there is no error; half a header is', async () => {
    const started = await start()
    const looking = open(started)
    looking.end()
    await closed(looking)
    const half = open(started)
    half.end('PROXY TCP')
    await closed(half)
    expect(started.errors).toEqual(['127.0.0.1: it hung up within its PROXY header.'])
  })

  test('has no share of connections itself, and each of its clients has one', async () => {
    const started = await start({ limits: { connectionsPerAddress: 2 } })
    const waiting = Array.from({ length: 5 }, () => open(started))
    await Promise.all(waiting.map((socket) => once(socket, 'connect')))
    const one = await through(started, line('203.0.113.9', 1))
    const two = await through(started, line('203.0.113.9', 2))
    const other = await through(started, line('203.0.113.10', 1))
    expect(await ask(two, false)).toBe('IPv4 203.0.113.9 2')
    const three = await through(started, line('203.0.113.9', 3))
    // The one without a request gave way.
    await closed(one)
    expect(await ask(three)).toBe('IPv4 203.0.113.9 3')
    expect(await ask(two)).toBe('IPv4 203.0.113.9 2')
    expect(await ask(other)).toBe('IPv4 203.0.113.10 1')
    expect(waiting.map((socket) => socket.closed)).toEqual(Array(5).fill(false))
  })

  test('may forward the same address and port twice', async () => {
    const started = await start({ limits: { connectionsPerAddress: 3 } })
    const twins = await Promise.all([1, 2].map(() => through(started, line('203.0.113.9'))))
    for (const twin of twins) expect(await ask(twin)).toBe('IPv4 203.0.113.9 4000')
  })

  test('is told from the client whose handshake fails', async () => {
    const started = await start()
    const socket = open(started)
    socket.write(line('203.0.113.9'))
    const tls = connectTls({ socket, maxVersion: 'TLSv1.2' })
    await once(tls, 'error')
    await expect
      .poll(() => started.errors)
      .toEqual(['203.0.113.9: it offers no version of TLS that this server accepts.'])
  })
})

describe('anybody else', () => {
  test.each([[[]], [['192.0.2.1', '::1']]])('cannot claim an address, with %s', async (proxies) => {
    const started = await start({ proxies })
    expect(await ask(await secure(open(started)))).toMatch(/^IPv4 127\.0\.0\.1 \d+$/)
    for (const header of [line('203.0.113.9'), binaryHeader(0x21, 0x11, v4('203.0.113.9', 1))]) {
      const socket = open(started)
      socket.write(header)
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
      await closed(socket)
    }
    await expect.poll(() => started.errors.length).toBe(2)
    for (const error of started.errors) expect(error).toMatch(/^127\.0\.0\.1: what it sent is not/)
    expect(started.logged).toEqual(['127.0.0.1'])
  })
})

describe.skipIf(!existsSync('/usr/sbin/haproxy'))('HAProxy', () => {
  test.each([['send-proxy'], ['send-proxy-v2'], ['send-proxy-v2-ssl proxy-v2-options crc32c']])(
    'forwards curl with %s over HTTP/1.1 and HTTP/2, and checks whether the server is there',
    async (how) => {
      const started = await start()
      const port = await freePort()
      const config = authority.write(
        `haproxy-${port}.cfg`,
        `defaults
  mode tcp
  timeout connect 1m
  timeout client 1m
  timeout server 1m
listen servers
  bind 127.0.0.1:${port}
  server one 127.0.0.1:${started.server.port} ${how} check inter 100ms
`,
      )
      const child = spawn('/usr/sbin/haproxy', ['-db', '-f', config], { stdio: 'ignore' })
      onTestFinished(async () => {
        const exited = once(child, 'exit')
        if (child.kill('SIGKILL')) await exited
      })
      const curl = (version: string) =>
        run('curl', [
          ...['-sS', '--max-time', '30', '--cacert', rootFile, '--interface', '127.0.0.9'],
          ...[version, '-w', '%{http_version} %{local_port}', `https://127.0.0.1:${port}/`],
        ])
      await waitFor('HAProxy', async () => ((await curl('--http1.1')).code === 0 ? true : null))
      for (const [version, shown] of [
        ['--http1.1', '1.1'],
        ['--http2', '2'],
      ] as const) {
        const { stdout } = await curl(version)
        const [, source, answered, local] =
          /^IPv4 127\.0\.0\.9 (\d+)\n((?:1\.1|2) )(\d+)$/.exec(stdout) ?? []
        expect(answered?.trim()).toBe(shown)
        expect(source).toBe(local)
      }
      // Meanwhile it has checked the server several times.
      await new Promise((resolve) => setTimeout(resolve, 500))
      expect(started.errors).toEqual([])
      expect(new Set(started.logged)).toEqual(new Set(['127.0.0.9']))
    },
  )
})
