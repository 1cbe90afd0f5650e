import { once } from 'node:events'
import { createServer, isIP, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { startAlpnServer, type AlpnServer, type AlpnShows } from './alpn-server.ts'
import { startChallenged, type Challenged } from './challenged.ts'

let world: Challenged
let alpn: AlpnServer
beforeAll(async () => {
  alpn = await startAlpnServer()
  world = await startChallenged({ tlsAlpn01Port: alpn.port })
})
afterAll(async () => {
  await world.close()
  await alpn.close()
})

describe('tls-alpn-01', () => {
  async function attempt(name: string, change: Partial<AlpnShows>, server = alpn) {
    const challenge = await world.challengeFor(name, 'tls-alpn-01')
    const type = isIP(name) === 0 ? ('dns' as const) : ('ip' as const)
    const { keyAuthorization } = challenge
    server.shows = { names: [{ type, value: name }], keyAuthorization, ...change }
    let { body } = await world.client.post(challenge.url, {})
    // A server that is busy answers before the validation has ended (RFC 8555 §7.5.1).
    while (body.status === 'processing') {
      await delay(50)
      body = (await world.client.post(challenge.url, null)).body
    }
    return body
  }

  test('is met by the right certificate', async () => {
    expect((await attempt('alpn.localhost', {})).status).toBe('valid')
    expect(alpn.asked.at(-1)).toBe('alpn.localhost')
  })

  test('asks for an address by its name in the reverse tree', async () => {
    expect((await attempt('127.0.0.1', {})).status).toBe('valid')
    expect(alpn.asked.at(-1)).toBe('1.0.0.127.in-addr.arpa')
    const six = await startAlpnServer('::1', alpn.port)
    onTestFinished(() => six.close())
    expect((await attempt('::1', {}, six)).status).toBe('valid')
    expect(six.asked).toEqual([`1.${'0.'.repeat(31)}ip6.arpa`])
  })

  test('takes silence for a failure', async () => {
    const sockets: Socket[] = []
    const silent = createServer((socket) => void sockets.push(socket)).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const other = await startChallenged({ tlsAlpn01Port: port, validationMilliseconds: 500 })
    onTestFinished(async () => {
      for (const socket of sockets) socket.destroy()
      silent.close()
      await other.close()
    })
    const challenge = await other.challengeFor('silent.localhost', 'tls-alpn-01')
    await other.client.post(challenge.url, {})
    await expect.poll(challenge.status).toEqual(['invalid', 'invalid'])
    expect(sockets).toHaveLength(1)
  })

  test.each<[string, Partial<AlpnShows>, string, RegExp]>([
    [
      'another key authorization',
      { keyAuthorization: 'x' },
      'incorrectResponse',
      /another key auth/,
    ],
    [
      'another name',
      { names: [{ type: 'dns', value: 'x.localhost' }] },
      'incorrectResponse',
      /is not for/,
    ],
    [
      'a further name',
      {
        names: [
          { type: 'dns', value: 'g.localhost' },
          { type: 'dns', value: 'x.localhost' },
        ],
      },
      'incorrectResponse',
      /exactly one/,
    ],
    ['an extension that is not critical', { critical: false }, 'incorrectResponse', /not critical/],
    ['no extension', { extension: null }, 'incorrectResponse', /no acmeIdentifier/],
    ['a broken extension', { extension: Buffer.of(4, 9, 9) }, 'incorrectResponse', /understood/],
    ['another protocol', { protocol: 'h2' }, 'tls', /./],
  ])('refuses %s', async (_, change, type, detail) => {
    const body = await attempt('g.localhost', change)
    expect(body.status).toBe('invalid')
    expect(body.error.type).toBe(`urn:ietf:params:acme:error:${type}`)
    expect(body.error.detail).toMatch(detail)
  })
})
