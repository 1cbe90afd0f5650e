import { expect, test } from 'vitest'
import { addRoute, readRoutes } from '../../src/proxy/kept-routes.ts'
import type { Route } from '../../src/proxy/routes.ts'
import { cloneOf, shownSteps, type Clone } from './team.ts'

/** A clone that is named shop, and whose proxy is started by its first routes. */
async function shopOf(proxy: object, beside?: Clone) {
  const clone = await cloneOf({ proxy }, beside === undefined ? {} : { beside })
  clone.write('package.json', JSON.stringify({ name: 'shop' }))
  let serving = false
  const access = {
    isServing: async () => serving,
    serve: async (routes: readonly Route[]) => {
      serving = true
      return routes.map(({ host }) => `https://${host}/`)
    },
  }
  const up = (options: { readonly allow?: string; readonly planOnly?: boolean } = {}) =>
    clone.up({ ...options, proxy: access })
  const kept = async () =>
    (await readRoutes(clone.world.state)).map(({ host, to }) => `${host} ${to}`)
  return { ...clone, up, kept, stop: () => void (serving = false) }
}

const proxyStep = ({ steps }: Awaited<ReturnType<Clone['up']>>) =>
  steps.find(({ code }) => code === 'proxy')

test('up adds the routes of the file, and down takes them out', async () => {
  const clone = await shopOf({ shop: 3000, api: 'h2c://localhost:50051', '*.shop.localhost': 3001 })
  expect(proxyStep(await clone.up())).toEqual({
    code: 'proxy',
    subject: 'shop.localhost, api.shop.localhost, *.shop.localhost',
    outcome: 'changed',
    privileged: false,
    detail: 'https://shop.localhost/, https://api.shop.localhost/, https://*.shop.localhost/',
  })
  expect(clone.asked).toEqual([])
  expect(await clone.kept()).toEqual([
    'shop.localhost http://localhost:3000',
    'api.shop.localhost h2c://localhost:50051',
    '*.shop.localhost http://localhost:3001',
  ])
  expect(proxyStep(await clone.up())).toMatchObject({ outcome: 'unchanged' })
  // The file has other routes now.
  clone.file({ proxy: { api: 4000 } })
  const planned = proxyStep(await clone.up({ planOnly: true }))
  expect(planned).toMatchObject({
    outcome: 'would-change',
    detail: '-shop.localhost, -*.shop.localhost, +api.shop.localhost → http://localhost:4000',
  })
  expect(await clone.kept()).toHaveLength(3)
  await clone.up()
  expect(await clone.kept()).toEqual(['api.shop.localhost http://localhost:4000'])
  clone.file({})
  expect(proxyStep(await clone.up())).toMatchObject({
    subject: 'no names any more',
    outcome: 'changed',
    detail: '-api.shop.localhost',
  })
  expect(await clone.kept()).toEqual([])
  clone.file({ proxy: { api: 4000 } })
  await clone.up()
  const down = await clone.down()
  expect(shownSteps(down)).toContain('proxy: changed')
  expect(down.find(({ code }) => code === 'proxy')).toMatchObject({ subject: 'api.shop.localhost' })
  expect(await clone.kept()).toEqual([])
})

test('up starts what serves the routes where it does not run', async () => {
  const clone = await shopOf({ shop: 3000 })
  await clone.up()
  clone.stop()
  expect(proxyStep(await clone.up({ planOnly: true }))).toMatchObject({
    outcome: 'would-change',
    detail: 'the daemon is started',
  })
  expect(proxyStep(await clone.up())).toMatchObject({ outcome: 'changed' })
  expect(proxyStep(await clone.up())).toMatchObject({ outcome: 'unchanged' })
})

test('a name that is not the project’s, or another machine, is approved first', async () => {
  const clone = await shopOf({
    shop: 3000,
    'bank.localhost': 3001,
    docs: 'https://docs.example.com',
  })
  const { unapproved, stopped } = await clone.up()
  expect(stopped).toBe(true)
  expect(await clone.kept()).toEqual([])
  expect(unapproved).toEqual([
    {
      kind: 'proxy',
      text: 'let bank.localhost lead to http://localhost:3001, whoever else has that name here',
    },
    {
      kind: 'proxy',
      text: 'send what is asked of docs.shop.localhost to https://docs.example.com, which is not this machine',
    },
  ])
  const allowed = await clone.up({ allow: 'proxy' })
  expect(proxyStep(allowed)).toMatchObject({ outcome: 'changed' })
  expect(await clone.kept()).toHaveLength(3)
  // What was approved is not asked again, and a new target is.
  clone.stop()
  expect((await clone.up()).stopped).toBe(false)
  clone.file({ proxy: { docs: 'https://docs.example.org' } })
  expect((await clone.up()).unapproved).toHaveLength(1)
})

test('a project that is named like another gets no name beside its without approval', async () => {
  const first = await shopOf({ shop: 3000 })
  await first.up()
  const second = await shopOf({ api: 4000 }, first)
  expect((await second.up()).unapproved).toEqual([
    {
      kind: 'proxy',
      text: 'let api.shop.localhost lead to http://localhost:4000, whoever else has that name here',
    },
  ])
  expect(proxyStep(await second.up({ allow: 'proxy' }))).toMatchObject({ outcome: 'changed' })
  // And never the other's own name.
  second.file({ proxy: { shop: 4000 } })
  expect(proxyStep(await second.up({ allow: 'proxy' }))).toMatchObject({
    outcome: 'failed',
    detail: `shop.localhost already leads to http://localhost:3000, by ${first.directory}.`,
    hint: 'To take it out: rootling proxy remove shop.localhost',
  })
  await second.down()
  expect(await first.kept()).toEqual(['shop.localhost http://localhost:3000'])
})

test('a name that a wildcard or the default of the person serves needs approval', async () => {
  for (const host of ['*.localhost', '*']) {
    const clone = await shopOf({ shop: 3000 })
    await clone.up()
    await clone.down()
    await addRoute(clone.world.state, {
      ...{ host, path: '/', to: 'http://localhost:3001', changeOrigin: false },
      owner: { kind: 'hand' },
    })
    expect((await clone.up()).unapproved, host).toEqual([
      {
        kind: 'proxy',
        text: 'let shop.localhost lead to http://localhost:3000, whoever else has that name here',
      },
    ])
  }
})

test('a name that no authority may sign fails alone, and is told before', async () => {
  const clone = await shopOf({ shop: 3000 })
  await clone.up()
  clone.file({ proxy: { shop: 3000, 'shop.example.com': 3000 } })
  expect(proxyStep(await clone.up({ planOnly: true }))).toMatchObject({
    outcome: 'failed',
    hint: 'rootling ca permit shop.example.com',
  })
  expect(await clone.kept()).toEqual(['shop.localhost http://localhost:3000'])
})

test('a worktree of Git has names of its own', async () => {
  const first = await shopOf({ shop: 3000 })
  await first.up()
  const second = await cloneOf(null, { beside: first })
  second.write('../repository/.git/worktrees/fix/HEAD', 'ref: refs/heads/fix\n')
  second.write('../fix/.git', 'gitdir: ../repository/.git/worktrees/fix\n')
  second.write('../fix/package.json', '{"name":"shop"}')
  second.write('../fix/rootling.json', '{"version":1,"proxy":{"shop":3100}}')
  const cwd = second.directory.replace(/repository$/, 'fix')
  const { steps } = await second.up({ cwd, allow: 'proxy' })
  expect(steps.find(({ code }) => code === 'proxy')).toMatchObject({ outcome: 'changed' })
  expect(await first.kept()).toEqual([
    'shop.localhost http://localhost:3000',
    'fix.shop.localhost http://localhost:3100',
  ])
})

test('routes that somebody else took out are not missed', async () => {
  const clone = await shopOf({ shop: 3000 })
  await clone.up()
  clone.file({})
  const { removeRoutes } = await import('../../src/proxy/kept-routes.ts')
  await removeRoutes(clone.world.state, () => true)
  await addRoute(clone.world.state, {
    host: 'shop.localhost',
    path: '/',
    to: 'http://localhost:9',
    changeOrigin: false,
    owner: { kind: 'hand' },
  })
  const down = await clone.down()
  expect(down.find(({ code }) => code === 'proxy')).toMatchObject({
    outcome: 'unchanged',
    detail: 'They are gone already.',
  })
  expect(await clone.kept()).toEqual(['shop.localhost http://localhost:9'])
})
