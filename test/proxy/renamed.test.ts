import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { ask1, ask2 } from './clients.ts'
import { startProxy } from './harness.ts'

/** An app that says what it was told, and redirects to the host that it was asked for. */
async function startRedirecting() {
  const app = createServer(({ headers, url }, response) => {
    response.setHeader('X-Told', JSON.stringify([headers.host, headers.origin, headers.referer]))
    response.setHeader('Set-Cookie', [
      'a=1; Domain=localhost; Path=/',
      'b=2; Path=/; domain=.LOCALHOST',
      'c=3; Domain=example.com',
    ])
    response.setHeader(
      'Location',
      url === '/away' ? 'http://localhost:1/x' : `http://${headers.host}/there?a#b`,
    )
    response.writeHead(302).end()
  }).listen(0, 'localhost')
  await once(app, 'listening')
  onTestFinished(() => void app.close())
  return `http://localhost:${(app.address() as AddressInfo).port}`
}

test.each([
  ['HTTP/1.1', ask1],
  ['HTTP/2', ask2],
])(
  'over %s, an app that is asked by its own name sees its own origin, and the client ours',
  async (_, ask) => {
    const origin = await startRedirecting()
    const own = new URL(origin)
    const proxy = await startProxy({ 'app.localhost': { origin: own, changeOrigin: true } })
    const ours = `https://app.localhost:${proxy.port}`
    const from = { Origin: ours, Referer: `${ours}/page?q` }
    const { headers } = await ask(proxy, '/', { headers: from })
    expect(JSON.parse(String(headers['x-told']))).toEqual([own.host, origin, `${origin}/page?q`])
    expect(headers['location']).toBe(`${ours}/there?a#b`)
    expect(headers['set-cookie']).toEqual(['a=1; Path=/', 'b=2; Path=/', 'c=3; Domain=example.com'])
    // What is of another website stays what it says.
    for (const foreign of [
      'https://evil.test',
      `${ours}1`,
      'null',
      `https://app.localhost.evil.test:${proxy.port}`,
    ]) {
      const { headers: told } = await ask(proxy, '/away', { headers: { Origin: foreign } })
      expect(JSON.parse(String(told['x-told']))).toEqual([own.host, foreign, null])
      expect(told['location']).toBe('http://localhost:1/x')
    }
  },
)

test('without that, neither is changed', async () => {
  const origin = await startRedirecting()
  const proxy = await startProxy({ 'app.localhost': { origin: new URL(origin) } })
  const ours = `https://app.localhost:${proxy.port}`
  const { headers } = await ask1(proxy, '/', { headers: { Origin: ours } })
  expect(JSON.parse(String(headers['x-told']))).toEqual([new URL(ours).host, ours, null])
  expect(headers['location']).toBe(`http://${new URL(ours).host}/there?a#b`)
  expect(headers['set-cookie']).toHaveLength(3)
})
