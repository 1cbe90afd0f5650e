import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { linuxSockets } from '../../src/server/linux-sockets.ts'
import { createSocketOwners, type SocketFinder } from '../../src/server/socket-owner.ts'

const isLinux = process.platform === 'linux'
const me = process.getuid?.() ?? -1
const mine = createSocketOwners(linuxSockets, [me])
const others = createSocketOwners(linuxSockets, [me + 1])

/** Listens at an address and connects to it; returns both ends. */
async function connection(listen: string, dial: string) {
  const server = createServer({ allowHalfOpen: true })
  onTestFinished(() => void server.close())
  server.listen(0, listen)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const client = connect({ port, host: dial, allowHalfOpen: true })
  const [ours] = await accepted
  onTestFinished(() => void [client, ours].map((socket) => socket.destroy()))
  return { port, client, ours }
}

describe.skipIf(!isLinux)('on Linux (elsewhere skipped: /proc/net is read)', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['::', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
  ])('the users of both ends are told, from %s to %s', async (listen, dial) => {
    const { port, client, ours } = await connection(listen, dial)
    for (const end of [ours, client]) {
      expect(await mine.ofPeer(end)).toBe('ours')
      expect(await others.ofPeer(end)).toBe('foreign')
    }
    expect(await mine.ofListener(dial, port)).toBe('ours')
    expect(await others.ofListener(dial, port)).toBe('foreign')
  })

  test('a closed end is nobody’s, though the kernel shows it as root’s', async () => {
    const { client, ours } = await connection('127.0.0.1', '127.0.0.1')
    client.destroy()
    await once(ours.resume(), 'end')
    expect(await mine.ofPeer(ours)).toBe("nobody's")
  })

  test('each of many servers is found, also behind rows that two reads cut', async () => {
    const addresses = ['127.0.0.1', '::1', '0.0.0.0', '::']
    const all = await Promise.all(
      Array.from({ length: 24 }, async (_, i) => {
        const address = addresses[i % addresses.length] ?? ''
        const { port } = await connection(address, address)
        return { address, port }
      }),
    )
    for (const { address, port } of all) {
      const listening = { localAddress: address, user: me }
      expect(await linuxSockets.listeners(port, address)).toMatchObject([listening])
    }
  })

  test('a server behind many others is found', async () => {
    const servers = await Promise.all(
      Array.from({ length: 200 }, () => connection('127.0.0.1', '127.0.0.1')),
    )
    for (const { port } of servers.slice(0, 20))
      expect(await mine.ofListener('127.0.0.1', port)).toBe('ours')
    expect(await others.ofListener('127.0.0.1', servers[0]?.port ?? 0)).toBe('foreign')
  })

  test('where nobody listens, the server is nobody’s', async () => {
    const { port, ours } = await connection('127.0.0.1', '127.0.0.1')
    expect(await mine.ofListener('127.0.0.2', port)).toBe("nobody's")
    expect(await mine.ofListener('::1', port)).toBe("nobody's")
    expect(await mine.ofListener('127.0.0.1', ours.remotePort ?? 0)).toBe("nobody's")
  })
})

const row = (localAddress: string, remoteAddress: string, user: number) => ({
  localAddress,
  remoteAddress,
  user,
})
const finder = (rows: ReturnType<typeof row>[] | null): SocketFinder => {
  const answer = async () => rows ?? Promise.reject(new Error('no such table'))
  return { connections: answer, listeners: answer, firstFreePort: async () => 0 }
}
const there = { localAddress: '::ffff:127.0.0.1', localPort: 1, remoteAddress: '127.0.0.1' }

test('where the system gives no answer, the owner is unknown', async () => {
  const owners = createSocketOwners(finder(null), [1])
  expect(await owners.ofPeer({ ...there, remotePort: 2 })).toBe('unknown')
  expect(await owners.ofListener('127.0.0.1', 1)).toBe('unknown')
})

test('addresses are compared as addresses, both of them', async () => {
  const rows = [row('::ffff:7f00:1', '127.0.0.1', 1), row('127.0.0.1', '127.0.0.2', 2)]
  const of = (user: number) =>
    createSocketOwners(finder(rows), [user]).ofPeer({ ...there, remotePort: 2 })
  expect(await of(1)).toBe('ours')
  expect(await of(2)).toBe('foreign')
})

test('servers of two users at one address are not ours', async () => {
  const rows = [row('0.0.0.0', '0.0.0.0', 1), row('127.0.0.1', '0.0.0.0', 2)]
  expect(await createSocketOwners(finder(rows), [1]).ofListener('127.0.0.1', 1)).toBe('foreign')
  expect(await createSocketOwners(finder(rows), [1]).ofListener('127.0.0.9', 1)).toBe('ours')
  expect(await createSocketOwners(finder(rows), [1, 2]).ofListener('127.0.0.1', 1)).toBe('ours')
})
