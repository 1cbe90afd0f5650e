import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import {
  createHttpsServer,
  type HttpsServer,
  type HttpsServerOptions,
} from '../../src/server/https.ts'
import { describeConnectionError } from '../../src/server/connection-error.ts'
import { formatLogLine, type LogEntry } from '../../src/server/request-log.ts'
import { OpensslAuthority, type Issued } from '../helpers/openssl-authority.ts'
import { run } from './peers.ts'

let authority: OpensslAuthority
let pair: Issued
let rootFile: string

beforeAll(() => {
  authority = new OpensslAuthority()
  pair = authority.leaf('server')
  rootFile = authority.write('trusted.pem', authority.get('root').cert)
})
afterAll(() => authority.remove())

async function start(options: Partial<HttpsServerOptions> = {}): Promise<HttpsServer> {
  const server = await createHttpsServer({
    pair,
    handler: (_request, response) => {
      response.end('hello\n')
    },
    port: 0,
    ...options,
  })
  onTestFinished(() => server.close({ drainMilliseconds: 0 }))
  return server
}

function curl(server: HttpsServer, ...args: string[]): ReturnType<typeof run> {
  return run('curl', ['-sS', '--max-time', '10', '--cacert', rootFile, ...args, server.url])
}

async function secure(server: HttpsServer, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectTls({
    port: server.port,
    host: server.host,
    ca: authority.get('root').cert,
    ...options,
  })
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}

async function untilClosed(socket: Socket): Promise<{ milliseconds: number; text: string }> {
  const start = performance.now()
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  socket.on('error', () => {})
  await once(socket, 'close')
  return { milliseconds: performance.now() - start, text }
}

describe('secure defaults', () => {
  test('answers curl over HTTP/2 and HTTP/1.1 with TLS 1.3, and a client without our root refuses', async () => {
    const server = await start()
    const format = '%{http_version} %{ssl_verify_result}'
    expect((await curl(server, '--http2', '-w', format)).stdout).toBe('hello\n2 0')
    expect((await curl(server, '--http1.1', '-w', format)).stdout).toBe('hello\n1.1 0')
    const stranger = authority.write('stranger-root.pem', authority.get('stranger').cert)
    expect((await run('curl', ['-sS', '--cacert', stranger, server.url])).code).toBe(60)
  })

  test('refuses TLS 1.2 unless it was relaxed, and then with forward secrecy only', async () => {
    const strict = await start()
    const refused = await curl(strict, '--tls-max', '1.2')
    expect(refused.code).toBe(35)
    const relaxed = await start({ minVersion: 'TLSv1.2' })
    expect((await curl(relaxed, '--tls-max', '1.2')).stdout).toBe('hello\n')
    expect((await curl(relaxed, '--tls-max', '1.1')).code).not.toBe(0)
    const cbc = await curl(relaxed, '--tls-max', '1.2', '--ciphers', 'ECDHE-ECDSA-AES128-SHA')
    expect(cbc.code).not.toBe(0)
  })

  test('agrees on X25519 or P-256 with OpenSSL and on no other group', async () => {
    const server = await start()
    const handshake = (group: string) =>
      run('openssl', [
        's_client',
        '-connect',
        `127.0.0.1:${server.port}`,
        '-CAfile',
        rootFile,
        '-verify_return_error',
        '-groups',
        group,
      ])
    expect((await handshake('X25519')).stdout).toContain('Server Temp Key: X25519')
    expect((await handshake('P-256')).stdout).toContain('Server Temp Key: ECDH, prime256v1')
    expect((await handshake('P-521')).code).not.toBe(0)
    expect((await curl(server, '--curves', 'X25519')).code).toBe(0)
    expect((await curl(server, '--curves', 'secp521r1')).code).toBe(35)
  })

  test('answers Python where there is one', async (context) => {
    const server = await start()
    const script = `import ssl,urllib.request as r;c=ssl.create_default_context(cafile='${rootFile}');print(r.urlopen('${server.url}',context=c).read())`
    const ran = await run('python3', ['-c', script]).catch(() => null)
    if (ran === null) return context.skip('Python is not installed')
    expect(ran.stdout).toContain("b'hello\\n'")
  })

  test('hands a new certificate to new connections and keeps TLS 1.3 as its minimum', async () => {
    const server = await start()
    const before = await secure(server)
    const renewed = authority.leaf('renewed')
    server.replaceCertificate(renewed)
    const after = await secure(server)
    expect(before.getPeerX509Certificate()?.subject).toBe('CN=server')
    expect(after.getPeerX509Certificate()?.subject).toBe('CN=renewed')
    expect((await curl(server, '--tls-max', '1.2')).code).toBe(35)
    before.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect((await untilClosed(before)).text).toContain('hello')
  })
})

describe('limits', () => {
  const limits = {
    handshakeMilliseconds: 150,
    headersMilliseconds: 200,
    requestMilliseconds: 400,
    idleMilliseconds: 600,
  }

  test('cuts a client that never starts the handshake', async () => {
    const errors: Error[] = []
    const server = await start({ limits, onConnectionError: (error) => errors.push(error) })
    const socket = connectTcp(server.port, server.host)
    expect((await untilClosed(socket)).milliseconds).toBeGreaterThan(100)
    expect(errors.map((error) => (error as NodeJS.ErrnoException).code)).toEqual([
      'ERR_TLS_HANDSHAKE_TIMEOUT',
    ])
  })

  test('cuts half a head with 408, and answers a whole one', async () => {
    const server = await start({ limits })
    const half = await secure(server)
    half.write('GET / HTTP/1.1\r\nHost: localhost\r\n')
    expect((await untilClosed(half)).text).toContain('408 Request Timeout')
    const whole = await secure(server)
    whole.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect((await untilClosed(whole)).text).toContain('200 OK')
  })

  test('cuts half a head after an answered request too', async () => {
    const server = await start({ limits: { ...limits, idleMilliseconds: 60_000 } })
    const socket = await secure(server)
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET / HTTP/1.1\r\n')
    const { text } = await untilClosed(socket)
    expect(text).toContain('200 OK')
    expect(text).toContain('408 Request Timeout')
  })

  test('cuts a body that does not end', async () => {
    const server = await start({ limits, handler: (request) => void request.resume() })
    const socket = await secure(server)
    socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n12')
    expect((await untilClosed(socket)).milliseconds).toBeGreaterThan(300)
    const session = connectHttp2(server.url, { ca: authority.get('root').cert })
    onTestFinished(() => session.destroy())
    const stream = session.request({ ':method': 'POST', ':path': '/' })
    stream.on('error', () => {})
    stream.write('12')
    await once(stream, 'close')
    expect(stream.rstCode).toBe(8)
  })

  test('closes an idle HTTP/1.1 connection', async () => {
    const server = await start({ limits })
    const socket = await secure(server)
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    const { milliseconds, text } = await untilClosed(socket)
    expect(text).toContain('200 OK')
    expect(milliseconds).toBeGreaterThan(500)
  })

  test('cuts HTTP/2 without a preface, and idle HTTP/2 whatever pings arrive', async () => {
    const server = await start({ limits })
    const silent = await secure(server, { ALPNProtocols: ['h2'] })
    const cut = await untilClosed(silent)
    expect(cut.milliseconds).toBeLessThan(limits.idleMilliseconds - 100)

    const session = connectHttp2(server.url, { ca: authority.get('root').cert })
    onTestFinished(() => session.destroy())
    await once(session, 'connect')
    const pings = setInterval(() => !session.destroyed && session.ping(() => {}), 50)
    onTestFinished(() => clearInterval(pings))
    const goaway = once(session, 'goaway')
    await once(session, 'close')
    expect((await goaway)[0]).toBe(0)
  })

  test('lets a handler think longer than the idle limit', async () => {
    const server = await start({
      limits: { idleMilliseconds: 100 },
      handler: (_request, response) => void setTimeout(() => response.end('slow\n'), 400),
    })
    expect((await curl(server, '--http1.1')).stdout).toBe('slow\n')
    expect((await curl(server, '--http2')).stdout).toBe('slow\n')
  })

  test('destroys a client that stops reading', async () => {
    const closed: string[] = []
    const server = await start({
      limits: { idleMilliseconds: 200 },
      handler: (request, response) => {
        response.once('close', () => closed.push(request.httpVersion))
        ;(response as ServerResponse).write(Buffer.alloc(32 * 1024 * 1024))
      },
    })
    const socket = await secure(server)
    socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    const session = connectHttp2(server.url, { ca: authority.get('root').cert })
    onTestFinished(() => session.destroy())
    session.request({ ':path': '/' }).on('error', () => {})
    await expect.poll(() => closed.toSorted()).toEqual(['1.1', '2.0'])
  })

  test.each(['1.1', '2'])(
    'closes the connections of clients that stop reading HTTP/%s for new ones',
    async (version) => {
      const slow = { connections: 3, graceMilliseconds: 100, slowBytesPerSecond: 1e6 }
      const server = await start({
        limits: slow,
        handler: ({ url }, response) => {
          if (url === '/long') (response as ServerResponse).write(Buffer.alloc(32 * 1024 * 1024))
          else response.end('hello\n')
        },
      })
      for (let i = 0; i < 3; i++)
        if (version === '2') {
          const session = connectHttp2(server.url, { ca: authority.get('root').cert })
          onTestFinished(() => session.destroy())
          session.on('error', () => {})
          const stream = session.request({ ':path': '/long' }).on('error', () => {})
          await once(stream, 'response')
        } else {
          const socket = await secure(server)
          socket.write('GET /long HTTP/1.1\r\nHost: localhost\r\n\r\n')
          await once(socket, 'readable')
        }
      await expect.poll(async () => (await curl(server)).stdout).toBe('hello\n')
      expect((await curl(server)).stdout).toBe('hello\n')
    },
  )

  test('refuses heads above the limit and answers those below it', async () => {
    const server = await start()
    const big = `X-Big: ${'a'.repeat(32 * 1024)}`
    const small = `X-Small: ${'a'.repeat(4 * 1024)}`
    expect(
      (await curl(server, '--http1.1', '-o', '/dev/null', '-w', '%{http_code}', '-H', big)).stdout,
    ).toBe('431')
    expect((await curl(server, '--http1.1', '-H', small)).stdout).toBe('hello\n')
    expect((await curl(server, '--http2', '-w', '%{http_code}', '-H', big)).stdout).toBe('431')
    expect((await curl(server, '--http2', '-H', small)).stdout).toBe('hello\n')
  })

  test('tells HTTP/2 clients how many streams they may open', async () => {
    const server = await start({ limits: { streams: 7 } })
    const session = connectHttp2(server.url, { ca: authority.get('root').cert })
    onTestFinished(() => session.destroy())
    const [settings] = await once(session, 'remoteSettings')
    expect(settings.maxConcurrentStreams).toBe(7)
  })

  test('closes the connection that has been idle for longest, and none that waits for an answer', async () => {
    let release = (): void => {}
    const server = await start({
      limits: { connections: 2 },
      handler: (request, response) => {
        if (request.url === '/slow') release = () => void response.end('late\n')
        else request.resume().once('end', () => response.end('hello\n'))
      },
    })
    const busy = await secure(server)
    busy.write('GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    const heard = untilClosed(busy)
    const idle = await secure(server)
    const idleClosed = untilClosed(idle)
    for (const version of ['--http1.1', '--http2'])
      expect((await curl(server, version)).stdout).toBe('hello\n')
    await idleClosed
    const half = await secure(server)
    half.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf')
    const halfClosed = untilClosed(half)
    expect((await curl(server)).stdout).toBe('hello\n')
    expect((await halfClosed).text).toBe('')
    release()
    expect((await heard).text).toContain('late')
  })

  test('turns a new connection away only when all the others wait for answers', async () => {
    const waiting: ServerResponse[] = []
    let arrived = (): void => {}
    const arrival = new Promise<void>((resolve) => (arrived = resolve))
    const server = await start({
      limits: { connections: 1 },
      handler: (request, response) => {
        if (request.url === '/slow') waiting.push(response as ServerResponse)
        else response.end('hello\n')
        arrived()
      },
    })
    const busy = await secure(server)
    busy.write('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n')
    const heard = once(busy, 'data')
    await arrival
    expect((await curl(server)).code).not.toBe(0)
    for (const response of waiting) response.end('late\n')
    expect(String((await heard)[0])).toContain('late')
    expect((await curl(server)).stdout).toBe('hello\n')
  })
})

describe('draining', () => {
  test.each(['--http1.1', '--http2'])(
    'finishes a request in flight with %s and then refuses',
    async (version) => {
      let arrived = (): void => {}
      const arrival = new Promise<void>((resolve) => (arrived = resolve))
      let release = (): void => {}
      const server = await start({
        handler: (_request, response) => {
          release = () => void response.end('finished\n')
          arrived()
        },
      })
      const client = curl(server, version)
      await arrival
      const closed = server.close({ drainMilliseconds: 10_000 })
      expect((await curl(server)).code).toBe(7)
      release()
      expect((await client).stdout).toBe('finished\n')
      await closed
    },
  )

  test('does not wait for idle connections', async () => {
    const server = await start()
    const fresh = await secure(server)
    const used = await secure(server)
    used.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await once(used, 'data')
    const session = connectHttp2(server.url, { ca: authority.get('root').cert })
    onTestFinished(() => session.destroy())
    await once(session, 'remoteSettings')
    const gone = [untilClosed(fresh), untilClosed(used), once(session, 'close')]
    const start_ = performance.now()
    await server.close({ drainMilliseconds: 10_000 })
    expect(performance.now() - start_).toBeLessThan(5_000)
    await Promise.all(gone)
  })

  test('does not wait for a connection that never begins its handshake, or never asks', async () => {
    const server = await start()
    const silent = connectTcp(server.port)
    onTestFinished(() => void silent.destroy())
    await once(silent, 'connect')
    const asking = await secure(server)
    asking.write('GET / HTTP/1.1\r\nHost: loc')
    const began = performance.now()
    await server.close({ drainMilliseconds: 20_000 })
    expect(performance.now() - began).toBeLessThan(10_000)
  })

  test('destroys what is left at the end', async () => {
    let arrived = (): void => {}
    const arrival = new Promise<void>((resolve) => (arrived = resolve))
    const server = await start({ handler: () => arrived() })
    const client = curl(server)
    await arrival
    await server.close({ drainMilliseconds: 50 })
    expect((await client).code).not.toBe(0)
  })
})

describe('listening and reporting', () => {
  test('says which address is taken and which port to try', async () => {
    const server = await start()
    await expect(start({ port: server.port })).rejects.toMatchObject({
      code: 'port-in-use',
      message: `Another program already listens on 127.0.0.1:${server.port}.`,
      hint: `--port ${server.port + 1}`,
    })
  })

  test('says that this machine has no such address', async () => {
    await expect(start({ host: '192.0.2.1' })).rejects.toMatchObject({
      code: 'listen-failed',
      message: 'This machine has no address 192.0.2.1.',
    })
  })

  test('logs requests, and redirects those over plain HTTP', async () => {
    const entries: LogEntry[] = []
    const errors: Error[] = []
    const server = await start({
      onRequest: (entry) => entries.push(entry),
      onConnectionError: (error) => errors.push(error),
      now: () => new Date(0),
    })
    await curl(server, '--http2')
    await curl(server, '--http1.1', '-I')
    const address = `127.0.0.1:${server.port}`
    const redirected = await run('curl', ['-sSi', `http://${address}/a?b=c`])
    expect(redirected.stdout).toMatch(/^HTTP\/1\.1 308 /)
    expect(redirected.stdout).toContain(`Location: https://${address}/a?b=c\r\n`)
    const bare = await run('curl', ['-sSi', '-H', 'Host: localhost', `http://${address}/a?b=c`])
    expect(bare.stdout).toContain(`Location: https://localhost:${server.port}/a?b=c\r\n`)
    expect(redirected.stdout).toMatch(/\r\n\r\nThis port speaks HTTPS: \S+\n$/)
    const followed = ['-sSL', '--cacert', rootFile, '-d', 'x=1', `http://${address}/`]
    expect((await run('curl', followed)).stdout).toContain('hello')
    const common = {
      time: new Date(0),
      remoteAddress: '127.0.0.1',
      path: '/',
      status: 200,
      tlsVersion: 'TLSv1.3',
    }
    expect(entries).toMatchObject([
      { ...common, method: 'GET', protocol: 'HTTP/2' },
      { ...common, method: 'HEAD', protocol: 'HTTP/1.1' },
      { ...common, path: '/a?b=c', status: 308, protocol: 'HTTP/1.1', tlsVersion: '' },
      { ...common, path: '/a?b=c', status: 308, protocol: 'HTTP/1.1', tlsVersion: '' },
      { ...common, method: 'POST', status: 308, protocol: 'HTTP/1.1', tlsVersion: '' },
      { ...common, method: 'POST' },
    ])
    expect(entries.slice(2, 3).map(formatLogLine)).toEqual([
      expect.stringMatching(/ 127\.0\.0\.1 GET \/a\?b=c 308 HTTP\/1\.1 without TLS \d+ ms$/),
    ])
    expect(errors).toEqual([])
  })

  test('tells clients that refuse or cannot speak TLS apart in readable sentences', async () => {
    const said: string[] = []
    const server = await start({
      onConnectionError: (error, address) =>
        said.push(`${address} ${describeConnectionError(error)}`),
    })
    const raw = (text: string | Buffer) => {
      const socket = connectTcp(server.port, server.host)
      socket.write(text)
      return untilClosed(socket)
    }
    await raw('hello?\r\n\r\n')
    await raw(Buffer.from([0x80, 1, 2, 3, 4, 5, 6, 7, 8]))
    await raw(Buffer.from('160301000501000001ff', 'hex'))
    await run('curl', ['-sS', '--tls-max', '1.2', server.url])
    await run('curl', ['-sS', '--curves', 'secp521r1', server.url])
    await run('curl', ['-sS', server.url])
    await once(connectTls({ port: server.port, ALPNProtocols: ['ftp'] }), 'error')
    // curl resets the connection after its alert, and a slow server then finds no address.
    for (const sentence of said) expect(sentence).toMatch(/^(127\.0\.0\.1)? \P{Lu}[^:]*\.$/u)
    expect(said.map((sentence) => sentence.replace(/^\S* /, ''))).toEqual([
      'what it sent is not HTTP.',
      'what it sent is not TLS.',
      expect.stringMatching(/^the TLS handshake failed \([a-z ]+\)\.$/),
      'it offers no version of TLS that this server accepts.',
      'it offers no key exchange that this server accepts.',
      'it does not trust the root of this certificate.',
      'it speaks neither HTTP/1.1 nor HTTP/2.',
    ])
  })

  test('reports no client that has reset its connection, since nobody knows its address', async () => {
    const [entries, said]: [LogEntry[], string[]] = [[], []]
    const server = await start({
      onRequest: (entry) => entries.push(entry),
      onConnectionError: (_error, address) => said.push(address),
    })
    const hello = Buffer.from('160301000501000001ff', 'hex')
    for (const sent of ['GET', 'GET / HTTP/1.1\r\n\r\n', hello, 'hello?\r\n\r\n'])
      for (let i = 0; i < 20; i++) {
        const socket = connectTcp(server.port, server.host).on('error', () => {})
        await once(socket, 'connect')
        socket.write(sent, () => socket.resetAndDestroy())
        await once(socket, 'close')
      }
    for (let i = 0; i < 20; i++) {
      const carrier = connectTcp(server.port, server.host).on('error', () => {})
      const socket = await secure(server, { socket: carrier })
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n', () => carrier.resetAndDestroy())
      await once(carrier, 'close')
    }
    expect(await curl(server)).toMatchObject({ code: 0 })
    expect([...entries.map(({ remoteAddress }) => remoteAddress), ...said]).not.toContain('')
  })

  test('reports no HTTP/2 client that resets the connection, answered or not', async () => {
    const errors: Error[] = []
    const server = await start({ onConnectionError: (error) => errors.push(error) })
    for (const answered of [true, false]) {
      const tcp = connectTcp(server.port, server.host)
      const session = connectHttp2(server.url, {
        createConnection: () =>
          connectTls({ socket: tcp, ca: authority.get('root').cert, ALPNProtocols: ['h2'] }),
      })
      session.on('error', () => {})
      await once(session, 'remoteSettings')
      const stream = session.request({ ':path': '/' })
      stream.on('error', () => {})
      if (answered) await once(stream.resume(), 'end')
      tcp.resetAndDestroy()
      await once(session, 'close')
    }
    expect(await curl(server, '--http2')).toMatchObject({ code: 0 })
    expect(errors).toEqual([])
  })

  test('answers 500 for a handler that throws, reports it, and serves on', async () => {
    const errors: unknown[] = []
    const failure = new Error('broken')
    const server = await start({
      handler: () => {
        throw failure
      },
      onHandlerError: (error) => errors.push(error),
    })
    expect((await curl(server, '-w', '%{http_code}')).stdout).toBe('Internal server error.\n500')
    expect((await curl(server, '--http1.1', '-w', '%{http_code}')).stdout).toContain('500')
    expect(errors).toEqual([failure, failure])
  })
})
