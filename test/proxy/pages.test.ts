import { createHash } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { startApp } from './app.ts'
import { ask1, ask2, type Answered } from './clients.ts'
import { authority, startBoth, startProxy } from './harness.ts'
import { createProxyServer } from '../../src/proxy/proxy-server.ts'

const text = ({ body }: Answered): string => body.toString()
const html = { headers: { accept: 'text/html,application/xhtml+xml' } }

test('a host without an app gets 404 with the apps, as text for scripts', async () => {
  const target = await startProxy({ 'shop.localhost': 'http://localhost:1', '*.x.localhost': '' })
  for (const ask of [ask1, ask2]) {
    const answer = await ask(target, '/')
    expect([answer.status, text(answer)]).toEqual([
      404,
      [
        '404 Not Found',
        'No app has the name app.localhost. These are the apps:',
        '- shop.localhost',
        '- *.x.localhost',
        'Add it with the port that it listens on: `rootling proxy add app.localhost 3000`',
        '',
      ].join('\n'),
    ])
    expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8')
    expect(answer.headers['proxy-status']).toBe('rootling; error=destination_not_found')
  }
  expect(target.entries[0]).toMatchObject({ status: 404, app: null, host: 'app.localhost' })
})

test('a browser gets pages without scripts, whose texts are escaped, and links', async () => {
  const target = await startProxy({ 'shop.localhost': 'http://localhost:1', '<b>&"': '' })
  const answer = await ask2(target, '/', html)
  const page = text(answer)
  expect(answer.headers['content-type']).toBe('text/html; charset=utf-8')
  const policy = String(answer.headers['content-security-policy'])
  expect(policy).toMatch(/^default-src 'none'; style-src 'sha256-[^ ]+'; base-uri 'none'; /)
  const style = /<style>([^]*)<\/style>/.exec(page)?.[1] ?? ''
  expect(policy).toContain(createHash('sha256').update(style).digest('base64'))
  expect(page).toContain(`<a href="https://shop.localhost:${target.port}/">shop.localhost</a>`)
  expect(page).toContain('<li>&lt;b&gt;&amp;&quot;</li>')
  expect(page).toContain('<code>rootling proxy add app.localhost 3000</code>')
  expect(page).not.toMatch(/<script|<b>/)
})

test('HEAD gets the head of a page', async () => {
  const target = await startProxy({})
  const answer = await ask2(target, '/', { method: 'HEAD' })
  expect([answer.status, text(answer)]).toEqual([404, ''])
  expect(Number(answer.headers['content-length'])).toBeGreaterThan(100)
})

test('an app that does not listen gets 502 with its name, its port and what to do', async () => {
  const target = await startProxy({ 'app.localhost': 'http://localhost:1' })
  for (const ask of [ask1, ask2]) {
    const answer = await ask(target, '/', { method: 'POST', body: 'x'.repeat(100_000) })
    expect([answer.status, answer.headers['proxy-status']]).toEqual([
      502,
      'rootling; error=connection_refused',
    ])
    expect(text(answer)).toContain(
      'The app app.localhost should be at port 1 of localhost, but nothing listens there.',
    )
    expect(text(answer)).toContain('`rootling proxy add app.localhost PORT`')
  }
  expect(target.entries[0]).toMatchObject({ status: 502, app: 'app.localhost' })
})

test('a name that has no address gets 502', async () => {
  const target = await startProxy({ 'app.localhost': 'http://nowhere.invalid:3000' })
  const answer = await ask1(target, '/')
  expect([answer.status, answer.headers['proxy-status']]).toEqual([
    502,
    'rootling; error=dns_error',
  ])
})

test('a loop ends with 508 after five times, and names changeOrigin', async () => {
  const routes: Record<string, string> = {}
  const { authority: ca } = await authority()
  const target = await startProxy(routes, { roots: () => [ca.root] })
  routes['app.localhost'] = `https://localhost:${target.port}`
  const answer = await ask1(target, '/')
  expect(answer.status).toBe(508)
  expect(text(answer)).toContain('changeOrigin: true')
  await expect.poll(() => target.entries.length).toBe(6)
  expect(answer.headers['proxy-status']).toBe('rootling; error=proxy_loop_detected')
})

test('a client cannot pretend to be in a loop by what is no number', async () => {
  const { target } = await startBoth()
  for (const hops of ['-1', '1e9', 'x', '4'])
    expect((await ask1(target, '/', { headers: { 'x-rootling-hops': hops } })).status).toBe(200)
  expect((await ask1(target, '/', { headers: { 'x-rootling-hops': '5' } })).status).toBe(508)
})

test("an app's own refusal of a host comes unchanged, with a hint for the log", async () => {
  const { target } = await startBoth()
  for (const ask of [ask1, ask2]) {
    const answer = await ask(target, '/vite')
    expect([answer.status, text(answer).startsWith('Blocked request.')]).toEqual([403, true])
  }
  await expect.poll(() => target.entries.length).toBe(2)
  expect(target.entries[0]?.hint).toBe(
    "Vite refuses the host app.localhost: set server.allowedHosts: ['app.localhost'] in vite.config.",
  )
})

test('a fault of the proxy itself harms one request', async () => {
  const target = await startProxy(
    {},
    {
      find: () => {
        throw new Error('a fault')
      },
    },
  )
  for (const ask of [ask1, ask2]) expect((await ask(target, '/')).status).toBe(500)
  expect(target.errors.map(String)).toEqual(['Error: a fault', 'Error: a fault'])
})

test('too many headers are refused by 431, and plain HTTP is redirected', async () => {
  const { target } = await startBoth()
  const headers = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`x-${i}`, 'y']))
  expect((await ask1(target, '/', { headers })).status).toBe(431)
  const plain = await fetch(`http://127.0.0.1:${target.port}/a?b`, {
    redirect: 'manual',
  })
  expect([plain.status, plain.headers.get('location')]).toEqual([
    308,
    `https://127.0.0.1:${target.port}/a?b`,
  ])
})

test('the port may be in use', async () => {
  const { pair } = await authority()
  const app = await startApp()
  onTestFinished(() => app.close())
  const made = createProxyServer({
    host: '127.0.0.1',
    port: app.port,
    pair,
    find: () => null,
    hosts: () => [],
    now: () => new Date(),
  })
  await expect(made).rejects.toMatchObject({ code: 'port-in-use' })
})
