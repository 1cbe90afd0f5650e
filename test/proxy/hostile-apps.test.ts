import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ask1, ask2 } from './clients.ts'
import { startProxy } from './harness.ts'

/** Starts a server over bare connections, and the proxy with the route `app.localhost` to it. */
async function startHostile(onConnection: (socket: Socket, number: number) => void) {
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).once('close', () => sockets.delete(socket))
    onConnection(socket, ++connections)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const target = await startProxy({ 'app.localhost': origin })
  return { target, open: () => sockets.size, connections: () => connections }
}

const ok = (body: string): string =>
  `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`

/** Writes the same without end; `written` says how much of it the connection took. */
function writeEndlessly(socket: Socket, text: string): { readonly written: () => number } {
  const part = Buffer.from(text.repeat(Math.ceil(16_384 / text.length)))
  const more = (): void => {
    while (!socket.destroyed && socket.write(part));
  }
  socket.on('drain', more)
  more()
  return { written: () => socket.bytesWritten }
}

const both = [
  ['HTTP/1.1', ask1],
  ['HTTP/2', ask2],
] as const

/** What the system itself takes of a connection that nobody reads, and a little. */
const most = 8 * 1_048_576

describe.each(both)('over %s', (_, ask) => {
  test.each([
    ['head', 'HTTP/1.1 200 OK\r\n', 'X-Field: value\r\n'],
    ['line of a field', 'HTTP/1.1 200 OK\r\nX: ', 'a'],
    ['status line', 'HTTP/1.1 200 ', 'a'],
    ['list of interim answers', '', 'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'],
  ])('an endless %s is refused by 502', async (__, first, endless) => {
    let written = (): number => 0
    const { target, open } = await startHostile((socket) =>
      socket.once('data', () => {
        socket.write(first)
        ;({ written } = writeEndlessly(socket, endless))
      }),
    )
    const answer = await ask(target, '/')
    expect([answer.status, answer.headers['proxy-status']]).toEqual([
      502,
      'rootling; error=http_protocol_error',
    ])
    await expect.poll(open).toBe(0)
    expect(written()).toBeLessThan(most)
  })

  test.each([
    ['trailers', '0\r\n', 'X: y\r\n'],
    ['an extension', '5;', 'a'],
    ['a size', '', '0'],
  ])('%s without end break the answer off', async (__, first, endless) => {
    let written = (): number => 0
    const { target, open } = await startHostile((socket) =>
      socket.once('data', () => {
        socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n${first}`)
        ;({ written } = writeEndlessly(socket, endless))
      }),
    )
    const answer = await ask(target, '/')
    expect(answer.error === null ? answer.status : 'broken').toBe('broken')
    await expect.poll(open).toBe(0)
    expect(written()).toBeLessThan(most)
  })

  test.each([
    [
      'both lengths',
      'Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n',
    ],
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!'],
    ['a folded line', 'X: a\r\n b\r\nContent-Length: 0\r\n\r\n'],
    ['a bare CR', 'X: a\rSet-Cookie: b=c\r\nContent-Length: 0\r\n\r\n'],
  ])('an answer with %s is refused by 502, and its connection closed', async (__, rest) => {
    const { target, open } = await startHostile((socket) =>
      socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n${rest}`)),
    )
    expect((await ask(target, '/')).status).toBe(502)
    await expect.poll(open).toBe(0)
  })

  test('a huge chunk is refused, and one that does not come whole is seen', async () => {
    for (const size of ['FFFFFFFFFFFFFFFF', '7FFFFFFF']) {
      const { target } = await startHostile((socket) =>
        socket.once('data', () =>
          socket.end(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${size}\r\nabc`),
        ),
      )
      const answer = await ask(target, '/')
      expect(answer.error === null ? answer.status : 'broken').toBe('broken')
    }
  })

  test('the second answer to one request reaches nobody', async () => {
    const { target, connections } = await startHostile((socket, number) =>
      socket.on('data', () => socket.write(ok(`right ${number}`) + ok('wrong'))),
    )
    for (let i = 1; i <= 3; i++) expect((await ask(target, '/')).body.toString()).toBe(`right ${i}`)
    expect(connections()).toBe(3)
  })

  test('what an idle connection brings reaches nobody', async () => {
    let late = (): void => {}
    const { target, open } = await startHostile((socket, number) => {
      socket.on('data', () => socket.write(ok(`right ${number}`)))
      late = () => void socket.write(ok('wrong'))
    })
    expect((await ask(target, '/')).body.toString()).toBe('right 1')
    expect(open()).toBe(1)
    late()
    await expect.poll(open).toBe(0)
    expect((await ask(target, '/')).body.toString()).toBe('right 2')
  })

  test('garbage after the end of an answer closes its connection', async () => {
    const chunks = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n'
    for (const whole of [ok('ok'), chunks, 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok']) {
      const isLast = whole.includes('close')
      const { target, open } = await startHostile((socket) =>
        socket.once('data', () => (isLast ? socket.end(whole) : socket.write(`${whole}\0garbage`))),
      )
      const answer = await ask(target, '/')
      expect([answer.status, answer.body.toString(), answer.error]).toEqual([200, 'ok', null])
      await expect.poll(open).toBe(0)
    }
  })

  test('an answer before the request is the answer to it, and the connection is not kept', async () => {
    const { target } = await startHostile((socket) => {
      socket.write(`${ok('early')}HTTP/1.1 `)
      socket.resume()
    })
    for (let i = 0; i < 3; i++) expect((await ask(target, '/')).body.toString()).toBe('early')
  })

  test('an answer that changes the protocol unasked is refused by 502', async () => {
    const { target, open } = await startHostile((socket) =>
      socket.once('data', () =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nx'),
      ),
    )
    expect((await ask(target, '/')).status).toBe(502)
    await expect.poll(open).toBe(0)
  })

  test('a connection is not kept for longer than its app says', async () => {
    const { target, connections } = await startHostile((socket) =>
      socket.on('data', () =>
        socket.write('HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n'),
      ),
    )
    for (let i = 0; i < 3; i++) expect((await ask(target, '/')).status).toBe(200)
    expect(connections()).toBe(3)
  })
})

test.each([
  ['204 with chunks', 'GET', '204 No Content', 'Transfer-Encoding: chunked'],
  ['204 with a length', 'GET', '204 No Content', 'Content-Length: 40'],
  ['304 with chunks', 'GET', '304 Not Modified', 'Transfer-Encoding: chunked'],
  ['304 with a length', 'GET', '304 Not Modified', 'Content-Length: 40'],
  ['an answer to HEAD', 'HEAD', '200 OK', 'Content-Length: 40'],
])('what follows %s is no answer to the next request', async (_, method, status, field) => {
  const { target, connections } = await startHostile((socket, number) =>
    socket.on('data', () => {
      if (number > 1) return void socket.write(ok('good'))
      socket.write(`HTTP/1.1 ${status}\r\n${field}\r\n\r\n`)
      setImmediate(() => socket.write(ok('evil')))
    }),
  )
  expect((await ask2(target, '/', { method })).error).toBe(null)
  expect((await ask2(target, '/')).body.toString()).toBe('good')
  expect(connections()).toBe(2)
})

test.each(both)('the body of 205 is left out over %s', async (_, ask) => {
  const { target } = await startHostile((socket) =>
    socket.once('data', () => {
      socket.write('HTTP/1.1 205 Reset Content\r\nContent-Length: 5\r\n\r\nhello')
    }),
  )
  const { status, body, error } = await ask(target, '/')
  expect([status, body.length, error]).toEqual([205, 0, null])
})

test('an app changes the protocol to none but the one that was asked for', async () => {
  const heads: string[] = []
  const { target } = await startHostile((socket) =>
    socket.once('data', (head: Buffer) => {
      heads.push(head.toString())
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n',
      )
    }),
  )
  const upgrade = async (value: string) =>
    ask1(target, '/', { headers: { Connection: 'Upgrade', Upgrade: value } })
  expect((await upgrade('websocket')).status).toBe(502)
  for (const several of ['websocket, h2c', ',h2c', 'h2c', 'HTTP/2.0'])
    expect([several, (await upgrade(several)).status]).toEqual([several, 502])
  expect(heads.map((head) => /^upgrade: (.*)/im.exec(head)?.[1] ?? null)).toEqual([
    'websocket',
    ...Array.from({ length: 4 }, () => null),
  ])
})
