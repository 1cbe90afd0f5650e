import { EventEmitter } from 'node:events'
import type { Server } from 'node:net'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { limitConnections } from '../../src/server/connections.ts'
import { exchangeOf } from '../../src/server/exchange.ts'
import type { Request, Response } from '../../src/server/http.ts'
import { defaultLimits, type ServerLimits } from '../../src/server/limits.ts'

// The clock moves only when a test moves it.
beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Stands for a TCP connection, of which `bytesWritten` says what its client has taken. */
class Client extends EventEmitter {
  bytesWritten = 0
  destroyed = false
  readonly response = Object.assign(new EventEmitter(), { writableLength: 0 })
  readonly remoteAddress: string
  readonly remotePort: number
  constructor(remoteAddress: string, remotePort: number) {
    super()
    this.remoteAddress = remoteAddress
    this.remotePort = remotePort
  }
  destroy(): void {
    this.destroyed = true
    this.emit('close')
  }
}

/** A server over fake connections. */
function serve(limits: Partial<ServerLimits> = {}) {
  const server = new EventEmitter()
  const connections = limitConnections(server as Server, { ...defaultLimits, ...limits })
  let port = 1024
  const open = (address = '127.0.0.1'): Client => {
    const client = new Client(address, port++)
    server.emit('connection', client)
    return client
  }
  const request = (client: Client, address?: string): Client => {
    const asked = { socket: client, complete: true, address } as unknown as Request
    connections.answering(exchangeOf(asked, client.response as unknown as Response))
    return client
  }
  /** A client with a long response, of which it reads so many bytes every so many seconds. */
  const reader = (bytes: number, seconds: number, address?: string): Client => {
    const client = request(open(address))
    client.response.writableLength = 65_536
    client.bytesWritten = 100_000
    const timer = setInterval(() => (client.bytesWritten += bytes), 1_000 * seconds)
    client.once('close', () => clearInterval(timer))
    return client
  }
  return { open, request, reader }
}

const pass = (seconds: number) => vi.advanceTimersByTime(1_000 * seconds)
const states = (clients: readonly Client[]) => clients.map(({ destroyed }) => destroyed)

describe('a server that is full', () => {
  test('closes the slowest of the connections whose responses are read slowly', () => {
    const { reader, open, request } = serve({ connections: 4 })
    const slow = [reader(16_384, 10), reader(1_000, 1), reader(16_384, 5)]
    const phone = reader(20_000, 1)
    pass(30)
    const newcomers = []
    for (let i = 0; i < 3; i++) newcomers.push(request(open()))
    expect(states([...slow, phone, ...newcomers])).toEqual([
      ...[true, true, true],
      false,
      ...[false, false, false],
    ])
  })

  test('closes a connection without a request before a slow one, and the slowest first', () => {
    const { reader, open, request } = serve({ connections: 3 })
    const [slow, slower, idle] = [reader(5_000, 1), reader(1_000, 1), open()]
    pass(10)
    request(open())
    expect(states([slow, slower, idle])).toEqual([false, false, true])
    request(open())
    expect(states([slow, slower])).toEqual([false, true])
  })

  test('turns a new one away when all others are fast, new, or wait for the server', () => {
    const { reader, open, request } = serve({ connections: 4 })
    const waiting = request(open())
    const fast = reader(1_000_000, 1)
    const phone = reader(20_000, 1)
    pass(60)
    const fresh = reader(0, 1)
    pass(2)
    expect(states([open(), waiting, fast, phone, fresh])).toEqual([true, ...Array(4).fill(false)])
    pass(5)
    expect(states([open(), fresh])).toEqual([false, true])
  })

  test('forgives a client that was slow once and has read all since', () => {
    const { reader, open, request } = serve({ connections: 1 })
    const client = reader(0, 1)
    pass(20)
    client.response.writableLength = 0
    pass(2)
    expect(request(open()).destroyed).toBe(true)
    expect(client.destroyed).toBe(false)
  })
})

describe('a client that reads its response', () => {
  test.each([
    ['16 KiB every 10 seconds', 16_384, 10, false],
    ['20 kB a second', 20_000, 1, false],
    [
      '1.3 MB every 67 seconds, as over loopback a system does for 20 kB a second',
      1.3e6,
      67,
      false,
    ],
    ['100 bytes a second', 100, 1, true],
    ['nothing', 0, 1, true],
  ])('%s is cut or not by its average rate', (_, bytes, seconds, cut) => {
    const { reader } = serve()
    const client = reader(bytes, seconds)
    pass(110)
    expect(client.destroyed).toBe(false)
    pass(20)
    expect(client.destroyed).toBe(cut)
    pass(3_600)
    expect(client.destroyed).toBe(cut)
  })

  test('is cut when it becomes slow after a fast beginning', () => {
    const { reader } = serve()
    const client = reader(100, 1)
    client.bytesWritten += 1e9
    pass(130)
    expect(client.destroyed).toBe(true)
  })
})

describe('another machine', () => {
  const limits = { connections: 10, connectionsPerAddress: 3 }

  test.each([
    ['IPv4', ['192.0.2.7'], '192.0.2.8'],
    ['IPv4 in IPv6', ['::ffff:192.0.2.7', '192.0.2.7'], '::ffff:192.0.2.8'],
    ['IPv6', ['2001:db8::1', '2001:db8::2', '2001:db8:0:0:f::'], '2001:db8:0:1::1'],
    ['IPv6 with a zone', ['fe80::1%eth0', 'fe80::2%eth0'], '10.0.0.1'],
  ])('has a share of the connections, by %s, and others have theirs', (_, addresses, other) => {
    const { open, request } = serve(limits)
    const clients = Array.from({ length: 9 }, (_, i) =>
      request(open(addresses[i % addresses.length])),
    )
    expect(states(clients)).toEqual([...Array(3).fill(false), ...Array(6).fill(true)])
    expect(request(open(other)).destroyed).toBe(false)
  })

  test('that opens more than its share closes only its own', () => {
    const { open, request, reader } = serve(limits)
    const idle = open('192.0.2.8')
    const [oldest, slow, busy] = [open('192.0.2.7'), reader(0, 1, '192.0.2.7'), open('192.0.2.7')]
    request(busy)
    pass(6)
    const [first, second, third] = [0, 1, 2].map(() => request(open('192.0.2.7')))
    expect(states([oldest, slow, busy, idle])).toEqual([true, true, false, false])
    expect([first?.destroyed, second?.destroyed, third?.destroyed]).toEqual([false, false, true])
  })

  test.each(['127.0.0.1', '127.0.0.2', '::1', '::ffff:127.0.0.1'])(
    'is not meant by %s, which all programs of this machine share',
    (address) => {
      const { open, request } = serve(limits)
      const clients = Array.from({ length: 10 }, () => request(open(address)))
      expect(states(clients)).toEqual(Array(10).fill(false))
    },
  )
})
