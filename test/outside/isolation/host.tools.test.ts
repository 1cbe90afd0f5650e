import { once } from 'node:events'
import { connect, constants, type ClientHttp2Session } from 'node:http2'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { speak, type Port } from './http1.ts'
import { startPorts, startServing, type Ports } from './ports.ts'

let ports: Ports
beforeAll(async () => {
  ports = await startPorts()
})
afterAll(() => ports.close())

const { HTTP2_HEADER_AUTHORITY, HTTP2_HEADER_PATH, HTTP2_HEADER_STATUS } = constants

/** Each with a path that it answers with 200. */
const kinds: readonly (readonly [string, (all: Ports) => Port, string])[] = [
  ['ACME', ({ acme }) => acme, '/acme/directory'],
  ['the revocation port', ({ revocation }) => revocation, '/local.crl'],
  ['rootling ocsp', ({ ocsp }) => ocsp, '/local.crl'],
  ['rootling serve', ({ demo }) => demo, '/'],
]

describe.each(kinds)('%s', (_, portOf, path) => {
  const get = (...hosts: readonly string[]) =>
    speak(portOf(ports), [`GET ${path} HTTP/1.1`, ...hosts.map((host) => `Host: ${host}`)])

  test('answers to its own names, with or without port, in any case, with a dot at the end', async () => {
    const { port } = portOf(ports)
    const own = ['localhost', 'LocalHost', 'localhost.', '127.0.0.1', '[::1]']
    for (const name of own)
      for (const host of [name, `${name}:${port}`])
        expect([host, (await get(host)).status]).toEqual([host, 200])
  })

  test.each([
    'evil.test',
    'localhost.evil.test',
    'evil.test.',
    'localhost@evil.test',
    'evil.test#localhost',
    'localhost, evil.test',
    'localhost:14600:80',
    '10.0.0.1',
    '0.0.0.0',
    '[::2]',
    '2130706433',
    '',
  ])('refuses the host "%s" with 421 and a sentence', async (host) => {
    const heard = await get(host)
    expect(heard.status).toBe(421)
    expect(heard.body).toMatch(/This (?:server|responder) .* host|for loopback names/)
    expect(heard.head).not.toMatch(/access-control/i)
  })

  test('refuses two hosts, also equal ones, and one hidden behind many headers', async () => {
    expect((await get('localhost', 'evil.test')).status).toBe(421)
    expect((await get('evil.test', 'localhost')).status).toBe(421)
    expect((await get('localhost', 'localhost')).status).toBe(421)
    const many = Array.from({ length: 2_100 }, (_each, i) => `${i % 10}:`)
    const lines = [`GET ${path} HTTP/1.1`, 'Host: localhost', ...many, 'Host: evil.test']
    expect((await speak(portOf(ports), lines)).status).toBe(431)
  })

  test('refuses a target that brings a host of its own', async () => {
    for (const authority of ['evil.test', 'localhost']) {
      const line = `GET http://${authority}${path} HTTP/1.1`
      const heard = await speak(portOf(ports), [line, 'Host: localhost'])
      expect(heard.status).toBe(421)
    }
  })

  test('refuses a request without a host', async () => {
    expect((await get()).status).toBe(400)
    const old = await speak(portOf(ports), [`GET http://evil.test${path} HTTP/1.0`])
    expect(old.status).toBe(421)
  })
})

describe.each(kinds.filter(([name]) => /ACME|serve/.test(name)))(
  '%s over HTTP/2',
  (_, portOf, path) => {
    async function statusFor(headers: Readonly<Record<string, string>>): Promise<unknown> {
      const session: ClientHttp2Session = connect(`https://localhost:${portOf(ports).port}`, {
        ca: portOf(ports).ca,
      })
      onTestFinished(() => session.destroy())
      const stream = session.request({ [HTTP2_HEADER_PATH]: path, ...headers })
      const [answer] = await once(stream, 'response')
      session.destroy()
      return (answer as Record<string, unknown>)[HTTP2_HEADER_STATUS]
    }

    test('looks at :authority, and at a Host beside it', async () => {
      expect(await statusFor({ [HTTP2_HEADER_AUTHORITY]: 'LOCALHOST.:1' })).toBe(200)
      expect(await statusFor({ [HTTP2_HEADER_AUTHORITY]: 'evil.test' })).toBe(421)
      const both = { [HTTP2_HEADER_AUTHORITY]: 'localhost', host: 'evil.test' }
      expect(await statusFor(both)).toBe(421)
      expect(await statusFor({ ...both, host: 'localhost' })).toBe(200)
    })
  },
)

test('rootling serve answers to the address of --host too, and to no other', async () => {
  const demo = await startServing(ports.daemon, 'serve', '--host', '127.0.0.2')
  onTestFinished(() => demo.stop())
  const get = (host: string) =>
    speak({ ...ports.demo, ...demo, host: '127.0.0.2' }, ['GET / HTTP/1.1', `Host: ${host}`])
  expect((await get('127.0.0.2')).status).toBe(200)
  expect((await get('127.0.0.3')).status).toBe(421)
})
