import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import {
  addRoute,
  ownerOfThisProcess,
  planProjectRoutes,
  readRoutes,
  removeRoutes,
  setProjectRoutes,
} from '../../src/proxy/kept-routes.ts'
import {
  addressOf,
  isOfThisMachine,
  parseRouteHost,
  parseRoutePath,
  parseUpstream,
  routeTable,
  type Route,
} from '../../src/proxy/routes.ts'
import { temporaryState } from '../helpers/temporary.ts'

const route = (host: string, more: Partial<Route> = {}): Route => ({
  host,
  path: '/',
  to: 'http://localhost:3000',
  changeOrigin: false,
  owner: { kind: 'hand' },
  ...more,
})

/** The number of the route that a request has, counted from 1 in the table. */
function found(table: readonly Route[], host: string, path = '/'): number {
  const { find } = routeTable(table)
  return table.indexOf(find(host, path) as Route) + 1
}

test('a host comes before a wildcard, a longer wildcard before a shorter, every host last', () => {
  const table = [
    route('*'),
    route('*.localhost'),
    route('*.shop.localhost'),
    route('a.shop.localhost'),
  ]
  expect(found(table, 'a.shop.localhost')).toBe(4)
  expect(found(table, 'b.shop.localhost')).toBe(3)
  expect(found(table, 'c.b.shop.localhost')).toBe(3)
  expect(found(table, 'shop.localhost')).toBe(2)
  expect(found(table, 'shop.localhost.')).toBe(2)
  expect(found(table, 'shop.test')).toBe(1)
  expect(found(table.slice(1), 'shop.test')).toBe(0)
  // A wildcard is for names below its domain, not for names that end in its letters.
  expect(found([route('*.shop.localhost')], 'myshop.localhost')).toBe(0)
  expect(routeTable(table).hosts).toEqual(['*.localhost', '*.shop.localhost', 'a.shop.localhost'])
})

test('of one host the longest path comes first, and a path ends where a segment ends', () => {
  const table = [
    route('shop.localhost'),
    route('shop.localhost', { path: '/api' }),
    route('shop.localhost', { path: '/api/v2' }),
  ]
  for (const [path, number] of [
    ['/', 1],
    ['/apis', 1],
    ['/API', 1],
    ['/api', 2],
    ['/api/', 2],
    ['/api?x=/v2', 2],
    ['/api/v2', 3],
    ['/api/v2/x', 3],
    ['/x?/api', 1],
  ] as const)
    expect([path, found(table, 'shop.localhost', path)]).toEqual([path, number])
  // Where the host has no route for the path, a wildcard may.
  const split = [route('a.shop.localhost', { path: '/api' }), route('*.shop.localhost')]
  expect(found(split, 'a.shop.localhost', '/')).toBe(2)
})

test('a host is a name, and a single word a name below localhost', () => {
  expect(
    ['shop', 'SHOP.Test', 'localhost', '*.shop.test', 'bücher.localhost'].map(parseRouteHost),
  ).toEqual(['shop.localhost', 'shop.test', 'localhost', '*.shop.test', 'xn--bcher-kva.localhost'])
  for (const text of ['127.0.0.1', '::1', 'a@shop.test'])
    expect(() => parseRouteHost(text)).toThrow(`${text} is not a host name.`)
  expect(() => parseRouteHost('https://shop.test')).toThrow('is a URL')
  expect(() => parseRouteHost('a.*.test')).toThrow('a.*.test')
})

test('a path is the beginning of one, in which nothing is left to resolve', () => {
  expect(['/', '/api', '/api/', '/a.b/%20'].map(parseRoutePath)).toEqual([
    '/',
    '/api',
    '/api',
    '/a.b/%20',
  ])
  for (const text of [
    '',
    'api',
    '//',
    '/a//b',
    '/a/../b',
    '/..',
    '/a?b',
    '/a#b',
    '/a b',
    `/${'a'.repeat(1024)}`,
  ])
    expect(() => parseRoutePath(text)).toThrow('is not the beginning of a path')
})

test('an upstream is a port of this machine or an origin', () => {
  for (const [text, to] of [
    ['3000', 'http://localhost:3000'],
    ['80', 'http://localhost'],
    ['443', 'http://localhost:443'],
    ['http://127.0.0.1:4000/', 'http://127.0.0.1:4000'],
    ['HTTP://Example.COM:80', 'http://example.com'],
    ['https://[::1]:8443', 'https://[::1]:8443'],
    ['h2c://LOCALHOST:50051', 'h2c://localhost:50051'],
  ] as const)
    expect([parseUpstream(text), parseUpstream(to)]).toEqual([to, to])
  for (const text of [
    'http://a/b',
    'http://u:p@a',
    'http://a?x',
    'ftp://a',
    'localhost:3000',
    'http:a',
    '',
    ' 3000',
    'http://a\\@b',
    'http://%00',
  ])
    expect(() => parseUpstream(text)).toThrow('is neither a port nor the origin of a server')
  for (const [text, hint] of [
    ['localhost:3000', 'With a scheme: http://localhost:3000'],
    ['127.0.0.1:3000', 'With a scheme: http://127.0.0.1:3000'],
    ['[::1]:3000', 'With a scheme: http://[::1]:3000'],
    ['app.test/api', 'Without what follows the host: http://app.test'],
    ['https://a:1/b?c', 'Without what follows the host: https://a:1'],
    ['ftp://a', 'Give a port, or an origin such as http://127.0.0.1:4000, https://… or h2c://…'],
    ['shop', 'Give a port, or an origin such as http://127.0.0.1:4000, https://… or h2c://…'],
    ['http://u:p@a', expect.stringContaining('Give a port')],
    ['a:99999', expect.stringContaining('Give a port')],
  ])
    expect(() => parseUpstream(String(text))).toThrow(expect.objectContaining({ hint }))
  for (const text of ['0', '65536', '99999999999'])
    expect(() => parseUpstream(text)).toThrow('is not a port')
  expect(() => parseUpstream('http://0.0.0.0:3000')).toThrow(
    expect.objectContaining({
      code: 'usage',
      hint: expect.stringContaining('http://localhost:3000'),
    }),
  )
  expect(addressOf('h2c://localhost')).toEqual({ host: 'localhost', port: 80 })
  expect(addressOf('https://[::1]')).toEqual({ host: '::1', port: 443 })
  const local = ['http://localhost:1', 'h2c://a.localhost', 'http://127.1.2.3', 'http://[::1]:9']
  const remote = [
    'http://example.com',
    'http://192.168.1.2',
    'http://127.0.0.1.nip.io',
    'http://localhost.evil.com',
  ]
  expect([local.every(isOfThisMachine), remote.some(isOfThisMachine)]).toEqual([true, false])
})

async function openState() {
  const state = await temporaryState()
  await ensureAuthority(state, new Date())
  return { state, file: join(state.path, 'proxy.json') }
}

test('a route is kept once, and replaced by its owner alone', async () => {
  const { state, file } = await openState()
  expect(await readRoutes(state)).toEqual([])
  const added = { change: 'added', before: null }
  expect(await addRoute(state, route('shop.localhost'))).toEqual(added)
  const before = statSync(file, { bigint: true }).mtimeNs
  expect(await addRoute(state, route('shop.localhost'))).toMatchObject({ change: 'unchanged' })
  expect(statSync(file, { bigint: true }).mtimeNs).toBe(before)
  const other = route('shop.localhost', { to: 'http://localhost:4000' })
  const changed = { change: 'changed', before: route('shop.localhost') }
  expect(await addRoute(state, other)).toEqual(changed)
  expect(await readRoutes(state)).toEqual([
    route('shop.localhost', { to: 'http://localhost:4000' }),
  ])
  expect(statSync(file).mode & 0o777).toBe(0o600)
  const run = route('shop.localhost', { owner: ownerOfThisProcess() })
  await expect(addRoute(state, run)).rejects.toMatchObject({
    code: 'route-taken',
    message: 'shop.localhost already leads to http://localhost:4000, by rootling proxy add.',
    hint: 'To take it out: rootling proxy remove shop.localhost',
  })
  expect(await removeRoutes(state, ({ host }) => host === 'shop.localhost')).toHaveLength(1)
  expect(await removeRoutes(state, ({ host }) => host === 'shop.localhost')).toEqual([])
  expect(await addRoute(state, run)).toMatchObject({ change: 'added' })
  await expect(addRoute(state, route('shop.localhost'))).rejects.toMatchObject({
    code: 'route-taken',
    message: `shop.localhost already leads to http://localhost:3000, by a command (pid ${process.pid}).`,
  })
})

test('a name that the authority may not sign gets no route', async () => {
  const { state } = await openState()
  await expect(addRoute(state, route('shop.example.com'))).rejects.toMatchObject({
    code: 'not-permitted',
    hint: 'rootling ca permit shop.example.com',
  })
  await expect(addRoute(state, route('*.example.com'))).rejects.toMatchObject({
    code: 'not-permitted',
  })
  expect(await addRoute(state, route('*.shop.test'))).toMatchObject({ change: 'added' })
  expect(await addRoute(state, route('*'))).toMatchObject({ change: 'added' })
  const none = await temporaryState()
  await expect(addRoute(none, route('shop.test'))).rejects.toMatchObject({ code: 'no-authority' })
})

test('damage of the file is told, and nothing is written over it', async () => {
  const { state, file } = await openState()
  await addRoute(state, route('shop.localhost'))
  const good = readFileSync(file, 'utf8')
  for (const text of [
    '',
    '[]',
    '{"routes":{}}',
    '{"routes":[null]}',
    '{"routes":[{}]}',
    good.replace('"hand"', '"nobody"'),
    good.replace('shop.localhost', 'SHOP.localhost'),
    good.replace('"path": "/"', '"path": "/.."'),
    good.replace('localhost:3000', 'localhost:3000/x'),
    `{"routes":${'['.repeat(100)}${']'.repeat(100)}}`,
  ]) {
    writeFileSync(file, text)
    await expect(readRoutes(state)).rejects.toMatchObject({ code: 'corrupt-state' })
    await expect(addRoute(state, route('a.localhost'))).rejects.toMatchObject({
      code: 'corrupt-state',
    })
    expect(readFileSync(file, 'utf8')).toBe(text)
  }
})

test('a project’s routes become those that it wants, and never another’s', async () => {
  const { state } = await openState()
  const ofProject = (project: string, host: string, to = 'http://localhost:1'): Route =>
    route(host, { to, owner: { kind: 'project', project } })
  await setProjectRoutes(state, '/a', [
    ofProject('/a', 'a.localhost'),
    ofProject('/a', 'b.localhost'),
  ])
  const wanted = [
    ofProject('/a', 'a.localhost', 'http://localhost:2'),
    ofProject('/a', 'c.localhost'),
  ]
  const plan = await planProjectRoutes(state, '/a', wanted)
  expect(plan.add).toEqual(wanted)
  expect(plan.remove.map(({ host }) => host)).toEqual(['a.localhost', 'b.localhost'])
  await setProjectRoutes(state, '/a', wanted)
  expect(await readRoutes(state)).toEqual(wanted)
  expect(await planProjectRoutes(state, '/a', wanted)).toEqual({
    add: [],
    remove: [],
    conflicts: [],
  })
  const theirs = [ofProject('/b', 'z.localhost'), ofProject('/b', 'c.localhost')]
  await expect(setProjectRoutes(state, '/b', theirs)).rejects.toMatchObject({
    code: 'route-taken',
    message: 'c.localhost already leads to http://localhost:1, by /a.',
  })
  expect(await readRoutes(state)).toEqual(wanted)
  await setProjectRoutes(state, '/a', [])
  expect(await readRoutes(state)).toEqual([])
})
