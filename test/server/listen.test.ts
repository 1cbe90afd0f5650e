import { once } from 'node:events'
import {
  connect,
  createServer,
  Server,
  type AddressInfo,
  type ListenOptions,
  type Socket,
} from 'node:net'
import { networkInterfaces } from 'node:os'
import { text } from 'node:stream/consumers'
import { describe, expect, onTestFinished, test } from 'vitest'
import { dropRemotePeers } from '../../src/server/drop-remote-peers.ts'
import { listen } from '../../src/server/listen.ts'
import { freePort } from '../helpers/free-port.ts'
import { hasIpv6Loopback } from '../helpers/https-server.ts'

/** An address of this machine that is not of loopback; `undefined`: it has none. */
const outside = Object.values(networkInterfaces())
  .flatMap((rows) => rows ?? [])
  .find(({ internal, family }) => !internal && family === 'IPv4')?.address

/**
 * Listens as macOS lets users since 10.14: below 1024 on every address of a family, and on no other
 * (in_pcbbind of xnu's bsd/netinet/in_pcb.c asks for root only where an address is given; seen in
 * vercel-labs/portless issue 330). A port of Linux's own stands for one below 1024.
 */
class ServerOfMac extends Server {
  readonly #port: number
  readonly asked: ListenOptions[] = []

  constructor(port: number, onConnection: (socket: Socket) => void) {
    super(onConnection)
    this.#port = port
  }

  override listen(...args: unknown[]): this {
    const options = args[0] as ListenOptions
    this.asked.push(options)
    const { host = '', port = 0 } = options
    if (port < 1024 && host !== '0.0.0.0' && host !== '::') {
      const error = Object.assign(new Error(`listen EACCES ${host}`), { code: 'EACCES' })
      process.nextTick(() => this.emit('error', error))
      return this
    }
    return super.listen({ ...options, port: port < 1024 ? this.#port : port })
  }
}

/** What a client gets from a server at this address, or the code of its error. */
async function ask(host: string, port: number): Promise<string> {
  const socket = connect(port, host)
  try {
    await once(socket, 'connect')
    socket.write('hello')
    return await text(socket)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  }
}

describe('a user of macOS who listens below 1024', () => {
  test.skipIf(!hasIpv6Loopback())('is bound to every address, and answers loopback', async () => {
    const port = await freePort()
    for (const [host, everywhere] of [
      ['127.0.0.1', '0.0.0.0'],
      ['::1', '::'],
    ] as const) {
      const server = new ServerOfMac(port, (socket) => void socket.end('here'))
      onTestFinished(() => void server.close())
      const address = await listen(server, host, 443, 'port', { system: 'darwin' })
      expect(address).toMatchObject({ address: host, port })
      expect(server.asked.map((each) => each.host)).toEqual([host, everywhere])
      // Else the server of IPv6 would take the port of IPv4 too.
      expect(server.asked[1]?.ipv6Only).toBe(true)
      expect(await ask(host, port)).toBe('here')
    }
  })

  test.skipIf(outside === undefined)(
    `drops who comes by another address${outside === undefined ? ' [skipped: there is none here]' : ''}`,
    async () => {
      const port = await freePort()
      const seen: string[] = []
      const server = new ServerOfMac(port, (socket) => {
        socket.on('error', () => undefined)
        socket.on('data', (data) => void seen.push(data.toString()))
        if (!socket.destroyed) socket.end('here')
      })
      onTestFinished(() => void server.close())
      await listen(server, '127.0.0.1', 443, 'port', { system: 'darwin' })
      expect(await ask(outside ?? '', port)).toBe('ECONNRESET')
      expect(seen).toEqual([])
      expect(await ask('127.0.0.1', port)).toBe('here')
    },
  )

  test.each([
    ['linux', '127.0.0.1'],
    ['darwin', '192.0.2.1'],
  ] as const)('is refused on %s at %s', async (system, host) => {
    const server = new ServerOfMac(await freePort(), () => undefined)
    await expect(listen(server, host, 443, 'port', { system })).rejects.toMatchObject({
      code: 'listen-failed',
      message: `This user may not listen on ${host}:443: ports below 1024 are reserved.`,
    })
    expect(server.asked).toHaveLength(1)
  })

  test('is told that another program has the port', async () => {
    const port = await freePort()
    const other = createServer().listen(port, '0.0.0.0')
    onTestFinished(() => void other.close())
    await once(other, 'listening')
    const server = new ServerOfMac(port, () => undefined)
    const starting = listen(server, '127.0.0.1', 443, 'port', { system: 'darwin' })
    await expect(starting).rejects.toMatchObject({ code: 'port-in-use' })
  })
})

test.each([
  ['127.0.0.1', '127.0.0.1', true],
  ['::ffff:127.0.0.1', '::ffff:127.9.9.9', true],
  ['::1', '::1', true],
  ['192.168.1.7', '192.168.1.2', false],
  // A packet that claims to come from loopback, by another interface.
  ['127.0.0.1', '192.168.1.2', false],
  ['fe80::1', 'fe80::2', false],
  ['::ffff:10.0.0.1', '::ffff:10.0.0.2', false],
  [undefined, undefined, false],
])('a peer %s at %s stays: %s', (remoteAddress, localAddress, stays) => {
  const server = new Server()
  let order = ''
  server.on('connection', () => (order += ' server'))
  dropRemotePeers(server)
  server.emit('connection', {
    remoteAddress,
    localAddress,
    resetAndDestroy: () => (order += 'dropped'),
  })
  expect(order).toBe(stays ? ' server' : 'dropped server')
})

test('a port of loopback is taken as it was asked for', async () => {
  const server = createServer()
  onTestFinished(() => void server.close())
  const address: AddressInfo = await listen(server, '127.0.0.1', 0, 'port', { system: 'darwin' })
  expect(address.address).toBe('127.0.0.1')
})
