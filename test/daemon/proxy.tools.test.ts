import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { freePort } from '../helpers/free-port.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { noPorts, openDaemonHome, type DaemonHome } from './daemon-home.ts'

/** An app that answers with what it was asked for. */
async function startApp(name: string, host = '127.0.0.1'): Promise<number> {
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    response.end(`${name} ${request.headers.host} ${request.url}\n`)
  }).listen(0, host)
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** A home whose daemon, once it runs, has its proxy at a free port. */
async function openProxyHome(start = true) {
  const home = await openDaemonHome()
  const port = await freePort()
  const options = [...noPorts, `--proxy-port=${port}`]
  if (start) expect(await home.daemon(['start', ...options])).toMatchObject({ exitCode: 0 })
  const root = join(home.state, 'scopes/local/root.pem')
  const curl = (url: string, ...more: readonly string[]) =>
    home.run('curl', ['-sS', '--max-time', '60', '--cacert', root, ...more, url])
  return { ...home, port, options, curl, url: (host: string) => `https://${host}:${port}` }
}

const add = (home: DaemonHome, ...args: readonly string[]) =>
  home.rootling(['proxy', 'add', ...args])

test('a name leads to its server, with a certificate of its own, over both addresses', async () => {
  const home = await openProxyHome()
  const { curl, url, port } = home
  const app = await startApp('shop')
  const added = await add(home, 'shop', String(app))
  expect(added).toMatchObject({
    exitCode: 0,
    stdout: `${url('shop.localhost')}/\n`,
    stderr: `shop.localhost leads to http://localhost:${app} now.\n`,
  })
  const answer = `shop shop.localhost:${port} /a?b\n`
  for (const address of ['127.0.0.1', '[::1]'])
    expect(
      await curl(`${url('shop.localhost')}/a?b`, '--resolve', `shop.localhost:${port}:${address}`),
    ).toMatchObject({ exitCode: 0, stdout: answer })
  // Another root does not vouch for it.
  const stranger = await home.run('curl', ['-sS', '--capath', '/', url('shop.localhost')])
  expect(stranger).toMatchObject({ exitCode: 60 })
  expect(await add(home, 'shop.localhost', String(app))).toMatchObject({
    exitCode: 0,
    stderr: `shop.localhost leads to http://localhost:${app} already.\n`,
  })
  const other = await startApp('other')
  expect(await add(home, 'shop.localhost', '--to', `http://127.0.0.1:${other}`)).toMatchObject({
    exitCode: 0,
  })
  expect((await curl(url('shop.localhost'))).stdout).toBe(`other shop.localhost:${port} /\n`)
  const kept = join(home.state, 'proxy.json')
  expect(statSync(kept).mode & 0o777).toBe(0o600)
  expect(await home.rootling(['proxy', 'remove', 'shop'])).toMatchObject({
    exitCode: 0,
    stdout: `- shop.localhost http://127.0.0.1:${other}\n`,
    stderr: '',
  })
  expect(await home.rootling(['proxy', 'remove', 'shop.localhost'])).toMatchObject({
    exitCode: 0,
    stderr: 'There is no route for shop.localhost.\n',
  })
  await waitFor('the end of the route', async () =>
    (await curl(url('shop.localhost'), '-o', '/dev/null', '-w', '%{http_code}')).stdout === '404'
      ? true
      : null,
  )
})

test('a server may listen at ::1 alone, and paths, wildcards and the default have theirs', async () => {
  const home = await openProxyHome()
  const { curl, url, port } = home
  const [page, api, any, rest] = await Promise.all(
    ['page', 'api', 'any', 'rest'].map((name) => startApp(name, '::1')),
  )
  for (const args of [
    ['shop.localhost', String(page)],
    ['shop.localhost', String(api), '--path', '/api/'],
    ['*.shop.localhost', String(any)],
    ['--default', String(rest)],
  ])
    expect(await add(home, ...args)).toMatchObject({ exitCode: 0 })
  for (const [host, path, name] of [
    ['shop.localhost', '/', 'page'],
    ['shop.localhost', '/apis', 'page'],
    ['shop.localhost', '/api/x', 'api'],
    ['a.b.shop.localhost', '/api', 'any'],
    ['nobody.localhost', '/', 'rest'],
  ])
    expect((await curl(`${url(host ?? '')}${path}`)).stdout).toBe(
      `${name} ${host}:${port} ${path}\n`,
    )
  const { value } = await home.json(['proxy', 'list'])
  const routes = value['routes'] as { url: string; to: string; listens: boolean }[]
  expect(routes.map((each) => [each.url, each.listens])).toEqual([
    [`${url('shop.localhost')}/`, true],
    [`${url('shop.localhost')}/api`, true],
    [`${url('any.shop.localhost')}/`, true],
    [`${url('localhost')}/`, true],
  ])
  expect(await home.rootling(['proxy', 'remove', 'shop.localhost', '--path=/api'])).toMatchObject({
    stdout: `- shop.localhost/api http://localhost:${api}\n`,
  })
  expect(await home.rootling(['proxy', 'remove', '--default'])).toMatchObject({
    stdout: `- every other host http://localhost:${rest}\n`,
  })
})

test('proxy add starts the daemon, whose routes are there again after a restart', async () => {
  const home = await openProxyHome()
  const { curl, url, port } = home
  expect(await home.daemon(['stop'])).toMatchObject({ exitCode: 0 })
  const app = await startApp('shop')
  expect(await add(home, 'shop', String(app))).toMatchObject({ exitCode: 0 })
  const hello = `shop shop.localhost:${port} /\n`
  expect((await curl(url('shop.localhost'))).stdout).toBe(hello)
  expect(await home.daemon(['restart'])).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining(`proxy         https://localhost:${port}\n`),
  })
  expect((await curl(url('shop.localhost'))).stdout).toBe(hello)
  expect(await home.status()).toMatchObject({
    proxy: { port, reason: null, hint: null, routes: 1 },
  })
})

test('what the daemon serves itself, and what is no server, is said in a sentence', async () => {
  const home = await openProxyHome(false)
  const acme = await freePort()
  const options = [`--acme-port=${acme}`, '--revocation-port=0', `--proxy-port=${home.port}`]
  expect(await home.daemon(['start', ...options])).toMatchObject({ exitCode: 0 })
  expect(await add(home, 'shop', '--to', `https://localhost:${acme}`)).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('is the daemon’s ACME server'),
  })
  expect((await home.json(['proxy', 'list'])).value['routes']).toEqual([])
  expect((await add(home, '3000')).stderr).toContain('The name that leads to 3000 is missing.')
  expect((await add(home, 'shop')).stderr).toContain('To which server shop leads is missing.')
  const { exitCode, stderr } = await add(home, 'shop', 'http://no-such-app.invalid:3000')
  expect(exitCode).toBe(0)
  expect(stderr).toContain('no-such-app.invalid has no address, or no DNS server answers.')
  expect(stderr).not.toContain('Nothing listens')
})

test('rootling serve, which answers for its own names alone, is reached by --change-origin', async () => {
  const home = await openProxyHome()
  const server = await home.serve()
  const to = server.url.replace(/\/$/, '').replace('localhost', '127.0.0.1')
  const status = async () =>
    (await home.curl(home.url('shop.localhost'), '-o', '/dev/null', '-w', '%{http_code}')).stdout
  expect(await add(home, 'shop', '--to', to)).toMatchObject({ exitCode: 0 })
  expect(await status()).toBe('421')
  expect(await add(home, 'shop', '--to', to, '--change-origin')).toMatchObject({ exitCode: 0 })
  expect(await status()).toBe('200')
})

test('a route that is changed to the proxy itself stays what it was', async () => {
  const home = await openProxyHome()
  const to = 'http://localhost:3999'
  expect(await add(home, 'shop', '3999')).toMatchObject({ exitCode: 0 })
  expect(await add(home, 'shop', String(home.port))).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('is the proxy itself'),
  })
  expect((await home.json(['proxy', 'list'])).value['routes']).toMatchObject([{ to }])
  // A port that URLs leave out is read again as it was written.
  expect(await add(home, 'other', '80')).toMatchObject({ exitCode: 0 })
  expect((await home.json(['proxy', 'list'])).value['routes']).toMatchObject([
    { to: 'http://localhost' },
    { to },
  ])
})

test('what cannot be routed is refused, and nothing is kept of it', async () => {
  const home = await openProxyHome()
  for (const [args, exitCode, said, hint] of [
    [
      ['shop.example.com', '3000'],
      1,
      'shop.example.com is outside the names',
      'rootling ca permit shop.example.com',
    ],
    [['127.0.0.1', '3000'], 2, '127.0.0.1 is not a host name.', 'shop.localhost'],
    [
      ['shop'],
      2,
      'To which server shop leads is missing.',
      'rootling proxy add shop.localhost 3000',
    ],
    [[], 2, 'Name the host and the port of its server.', 'rootling proxy add'],
    [['shop', '70000'], 2, '70000 is not a port.', '65535'],
    [['shop', '3000', '--to', 'http://a'], 2, 'contradict', 'rootling proxy add'],
    [['shop', '3000', '4000'], 2, '4000 is one argument too many', 'rootling proxy add'],
    [['shop', '--to', 'http://a/b'], 2, 'http://a/b is neither', 'follows the host: http://a\n'],
    [['shop', '3000', '--path', 'api'], 2, '--path api is not', '--path /api'],
  ] as const) {
    const { stderr, ...end } = await add(home, ...args)
    expect([args, end.exitCode]).toEqual([args, exitCode])
    expect(stderr).toContain(said)
    expect(stderr).toContain(hint)
  }
  const { value } = await home.json(['proxy', 'list'])
  expect(value['routes']).toEqual([])
  // Names that this machine does not find by itself get a line of the hosts file by hand.
  const { stderr } = await add(home, 'shop.test', '3999')
  expect(stderr).toContain('rootling hosts add shop.test')
  expect(stderr).toContain('Nothing listens at http://localhost:3999 yet.')
})

test('a damaged file of routes ends neither the daemon nor the routes that it read before', async () => {
  const home = await openProxyHome()
  const { curl, url, port, state } = home
  await add(home, 'shop', String(await startApp('shop')))
  writeFileSync(join(state, 'proxy.json'), '{"routes":[')
  await waitFor('the daemon to see it', async () => {
    const { proxy } = (await home.status()) as { proxy?: { reason: string | null } }
    return proxy?.reason?.includes('are damaged') === true ? true : null
  })
  expect((await curl(url('shop.localhost'))).stdout).toContain('shop shop.localhost')
  expect(await add(home, 'api', '3000')).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('proxy.json are damaged'),
  })
  expect(await home.daemon(['restart'])).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining(`proxy         https://localhost:${port}\n`),
  })
  expect(readFileSync(join(state, 'proxy.json'), 'utf8')).toBe('{"routes":[')
})

test('a proxy that is off, or whose port is taken, is told with what to type', async () => {
  const home = await openProxyHome(false)
  const off = [...noPorts, '--proxy-port=0']
  expect(await home.daemon(['start', ...off])).toMatchObject({ exitCode: 0 })
  expect(await add(home, 'shop', '3000')).toMatchObject({
    exitCode: 2,
    stderr: expect.stringContaining('rootling daemon restart --proxy-port 443'),
  })
  const taken = await startApp('another')
  await home.daemon(['stop'])
  expect(await home.daemon(['start', `--proxy-port=${taken}`])).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining(`rootling daemon start --proxy-port ${taken + 1}`),
  })
})

test('a server that speaks HTTPS by the local CA is reached', async () => {
  const home = await openProxyHome()
  const { url: served } = await home.serve()
  expect(await add(home, 'tls', '--to', served)).toMatchObject({ exitCode: 0 })
  // It answers for its own names alone.
  const refusal = 'This server does not answer for that host name.\n'
  expect((await home.curl(home.url('tls.localhost'))).stdout).toBe(refusal)
  const changed = ['tls', '--to', served, '--change-origin']
  expect(await add(home, ...changed)).toMatchObject({ exitCode: 0 })
  expect((await home.curl(home.url('tls.localhost'))).stdout).toContain('TLS')
})

test('up routes the names of rootling.json by the daemon, and down takes them back', async () => {
  const home = await openProxyHome()
  const { curl, url } = home
  const project = join(home.directory, 'shop')
  mkdirSync(join(project, '.git'), { recursive: true })
  const proxyOf = { shop: await startApp('shop'), api: await startApp('api') }
  writeFileSync(join(project, 'rootling.json'), JSON.stringify({ version: 1, proxy: proxyOf }))
  const there = (...args: readonly string[]) =>
    home.run('env', [`--chdir=${project}`, process.execPath, command, ...args])
  expect(await there('up', '--check', '--stores=none')).toMatchObject({
    exitCode: 4,
    stdout: expect.stringContaining('+api.shop.localhost → http://localhost:'),
  })
  await home.daemon(['stop'])
  expect(await there('up', '--yes', '--stores=none')).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining(`${url('api.shop.localhost')}/`),
  })
  for (const [host, name] of [
    ['shop.localhost', 'shop'],
    ['api.shop.localhost', 'api'],
  ])
    expect((await curl(url(host ?? ''))).stdout).toContain(`${name} ${host}`)
  expect(await there('up', '--check', '--stores=none')).toMatchObject({ exitCode: 0 })
  expect((await home.rootling(['proxy', 'list'])).stdout).toContain(project)
  expect(await there('down', '--stores=java', '--no-sudo')).toMatchObject({ exitCode: 0 })
  expect((await home.json(['proxy', 'list'])).value['routes']).toEqual([])
})
