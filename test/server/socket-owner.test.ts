import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { listeningUsers, peerUsers } from '../../src/server/socket-owner.ts'

const isLinux = process.platform === 'linux'
const me = process.getuid?.() ?? -1

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

describe.skipIf(!isLinux)('on Linux (elsewhere skipped: Node cannot ask there)', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['::', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
  ])('the users of both ends are found, from %s to %s', async (listen, dial) => {
    const { port, client, ours } = await connection(listen, dial)
    expect(await peerUsers(ours)).toEqual([me])
    expect(await peerUsers(client)).toEqual([me])
    expect(await listeningUsers(dial, port)).toEqual([me])
  })

  test('a closed end has no user, though the kernel shows it as root’s', async () => {
    const { client, ours } = await connection('127.0.0.1', '127.0.0.1')
    client.destroy()
    await once(ours.resume(), 'end')
    expect(await peerUsers(ours)).toEqual([])
  })

  test('where nobody listens there is no user', async () => {
    const { port, ours } = await connection('127.0.0.1', '127.0.0.1')
    expect(await listeningUsers('127.0.0.2', port)).toEqual([])
    expect(await listeningUsers('::1', port)).toEqual([])
    expect(await listeningUsers('127.0.0.1', ours.remotePort ?? 0)).toEqual([])
  })
})

test.skipIf(isLinux)('other systems do not tell', async () => {
  expect(await listeningUsers('127.0.0.1', 1)).toBeNull()
})
