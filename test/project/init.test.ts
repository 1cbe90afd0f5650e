import { mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { guessProject } from '../../src/project/guess.ts'
import { publishedSites } from '../../src/project/compose.ts'
import { findProject } from '../../src/project/find.ts'
import { answerFault, initProject, type InitOptions } from '../../src/project/init.ts'
import { readProject } from '../../src/project/read.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

const here = ['localhost', '127.0.0.1', '::1']

async function projectWith(files: Readonly<Record<string, string>>): Promise<string> {
  const directory = join(await temporaryDirectory(), 'Web Shop')
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(directory, name, '..'), { recursive: true })
    writeFileSync(join(directory, name), text)
  }
  mkdirSync(directory, { recursive: true })
  return directory
}

const init = (cwd: string, more: Partial<InitOptions> = {}) =>
  initProject({ cwd, env: {}, owner: null, ask: async (guessed) => guessed, ...more })

describe('guesses', () => {
  test.each([
    ['nothing', {}, [], []],
    [
      'Compose with Traefik',
      {
        'compose.yaml':
          'services:\n web:\n  labels:\n   - "traefik.http.routers.w.rule=Host(`shop.test`) || Host(`api.shop.test`)"\n   - "traefik.http.routers.p.rule=Host(`shop.example.com`)"',
      },
      ['shop.test', 'api.shop.test'],
      ['Compose (compose.yaml)'],
    ],
    [
      'Compose with nginx-proxy',
      {
        'docker-compose.yml':
          'environment:\n  - VIRTUAL_HOST=a.test,b.test\n  VIRTUAL_HOST: c.test',
      },
      ['a.test', 'b.test', 'c.test'],
      ['Compose (docker-compose.yml)'],
    ],
    [
      'Vite',
      {
        'vite.config.ts':
          "export default { server: { host: 'shop.test', allowedHosts: ['.shop.test', \"api.shop.test\"] } }",
        'package.json': '{"name": "@team/shop", "devDependencies": {"vite": "8.0.0"}}',
      },
      ['*.shop.test', 'api.shop.test', 'shop.test'],
      ['Vite (vite.config.ts)'],
    ],
    [
      'Vite by its package',
      { 'package.json': '{"devDependencies": {"vite": "8"}}' },
      [],
      ['Vite (package.json)'],
    ],
    [
      'Next',
      { 'next.config.js': "module.exports = { allowedDevOrigins: ['shop.test', '*.shop.test'] }" },
      ['shop.test', '*.shop.test'],
      ['Next (next.config.js)'],
    ],
    [
      'Laravel',
      {
        artisan: '#!/usr/bin/env php',
        '.env.example': 'APP_NAME=x\nAPP_URL=http://shop.test:8000/x\n',
      },
      ['shop.test'],
      ['Laravel (artisan)', 'variables (.env.example)'],
    ],
    [
      'Django',
      {
        'manage.py': 'x',
        'shop/settings.py': "ALLOWED_HOSTS = [\n 'shop.test',\n '.dev.shop.test', 'localhost']",
      },
      ['shop.test', '*.dev.shop.test'],
      ['Django (manage.py)', 'Django (shop/settings.py)'],
    ],
    [
      'Rails',
      {
        'config/environments/development.rb':
          'Rails\n  config.hosts << "shop.test"\n  config.hosts += ["a.test"]\n',
      },
      ['shop.test', 'a.test'],
      ['Rails (config/environments/development.rb)'],
    ],
  ])('%s', async (_title, files, names, found) => {
    const directory = await projectWith(files)
    const guess = await guessProject(directory)
    expect([...guess.names].toSorted()).toEqual([...here, ...names].toSorted())
    expect(guess.found).toEqual(found)
  })

  const apps = {
    'apps/shop/vite.config.ts': "export default { server: { host: 'shop.test' } }",
    'apps/api/package.json': '{"devDependencies": {"next": "16"}}',
    'apps/api/compose.yaml': 'services:\n  api:\n    ports: ["8080:80"]\n',
    'tools/x/vite.config.ts': "host: 'tools.test'",
    'outside/.env.example': 'APP_URL=https://outside.test',
  }
  test.each([
    ['pnpm', { 'pnpm-workspace.yaml': "packages:\n  # all\n  - 'apps/*'\n  - '!**/test'\n" }],
    ['npm', { 'package.json': '{"workspaces": ["apps/*", "../*", "/tmp", "link/*"]}' }],
    ['Yarn', { 'package.json': '{"workspaces": {"packages": ["./apps/shop", "apps/api/"]}}' }],
  ])('what the packages of a monorepo of %s hold', async (_title, root) => {
    const directory = await projectWith({ ...apps, ...root })
    symlinkSync('outside', join(directory, 'link'))
    symlinkSync('../outside', join(directory, 'apps/link'))
    const guess = await guessProject(directory)
    expect(guess.names.toSorted()).toEqual(
      [...here, 'shop.test', 'api.web-shop.localhost'].toSorted(),
    )
    expect(guess.found.toSorted()).toEqual([
      'Compose (apps/api/compose.yaml)',
      'Next (apps/api/package.json)',
      'Vite (apps/shop/vite.config.ts)',
    ])
  })

  test('of no more than some dozens of packages, and broken lists name none', async () => {
    const many = Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`apps/a${i}/.env.example`, `URL=http://a${i}.test`]),
    )
    const directory = await projectWith({ ...many, 'package.json': '{"workspaces": ["apps/*"]}' })
    expect((await guessProject(directory)).found).toHaveLength(30)
    for (const workspaces of ['1', 'null', '[1]', '{"packages": 2}'])
      expect(
        (await guessProject(await projectWith({ 'package.json': `{"workspaces": ${workspaces}}` })))
          .names,
      ).toEqual(here)
  })

  test('nothing from what is too large, a link, or broken', async () => {
    const directory = await projectWith({ 'package.json': '{'.repeat(100), 'compose.yaml': '' })
    truncateSync(join(directory, 'compose.yaml'), 100 * 1024 * 1024)
    writeFileSync(join(directory, '..', 'env'), 'APP_URL=https://shop.test')
    symlinkSync('../env', join(directory, '.env.example'))
    expect(await guessProject(directory)).toEqual({
      base: 'web-shop',
      names: here,
      routes: new Map(),
      found: [],
      hasPackage: false,
    })
  })

  test('quickly, whatever a file holds', async () => {
    const lines = ["allowedHosts: ['", 'Host(', '`'.repeat(1000), '['.repeat(1000)]
    const text = lines.join('\n').repeat(90).slice(0, 250_000)
    const started = performance.now()
    await guessProject(await projectWith({ 'vite.config.ts': text, 'compose.yaml': text }))
    expect(performance.now() - started).toBeLessThan(2_000)
  })
})

test.each(['\n', ' ', '- ', ' #', 'caddy:\n'])(
  'guesses from files with %j a hundred thousand times in no longer than seconds',
  async (part) => {
    const filler = part.repeat(100_000)
    const started = performance.now()
    for (const before of ['', 'caddy', 'URL', 'config.hosts']) {
      const text = (before + filler).slice(0, 250_000)
      const files = ['compose.yaml', '.env.example', 'config/environments/development.rb']
      await guessProject(await projectWith(Object.fromEntries(files.map((name) => [name, text]))))
    }
    for (const after of ['', '\rx', 'x\ry'])
      publishedSites(`services:\n a:\n  ports: ${filler}${after}`)
    expect(performance.now() - started).toBeLessThan(20_000)
  },
  60_000,
)

describe('init', () => {
  test('writes a file without faults, which up reads', async () => {
    const directory = await projectWith({
      'package.json': '{"name": "@team/shop", "devDependencies": {"rootling": "1", "vite": "8"}}',
      'vite.config.js': "export default { server: { host: 'shop.test' } }",
    })
    const { file, text } = await init(directory)
    expect(readFileSync(file, 'utf8')).toBe(text)
    expect(text).toContain('"$schema": "./node_modules/rootling/schema/rootling.schema.json"')
    expect(await readProject({ directory })).toMatchObject({
      certificates: [
        { names: [...here, 'shop.test'], cert: '.certs/shop.pem', key: '.certs/shop-key.pem' },
      ],
      hosts: new Map([['shop.test', ['127.0.0.1', '::1']]]),
    })
  })

  test('gives the ports of a Compose file a name, a certificate and a route', async () => {
    const directory = await projectWith({
      'compose.yaml':
        'services:\n  web:\n    ports: ["8443:443"]\n  Api_1:\n    ports:\n      - "3000:3000"\n',
    })
    await init(directory)
    const { certificates, proxy, hosts } = await readProject({ directory })
    expect([...proxy]).toEqual([
      ['web.web-shop.localhost', 'https://127.0.0.1:8443'],
      ['api-1.web-shop.localhost', 3000],
    ])
    expect(certificates[0]?.names).toEqual([...here, ...proxy.keys()])
    expect([...hosts]).toEqual([])
  })

  test('leaves out the route of a name that the person left out', async () => {
    const directory = await projectWith({
      'compose.yaml': 'services:\n  web:\n    ports: ["8443:443"]\n',
    })
    await init(directory, { ask: async (guessed) => ({ ...guessed, names: ['localhost'] }) })
    expect([...(await readProject({ directory })).proxy]).toEqual([])
  })

  test('overwrites nothing, not even a link that leads nowhere', async () => {
    const directory = await projectWith({ 'rootling.json': 'mine' })
    await expect(init(directory)).rejects.toMatchObject({ code: 'bad-project' })
    expect(readFileSync(join(directory, 'rootling.json'), 'utf8')).toBe('mine')
    const linked = await projectWith({})
    symlinkSync('elsewhere.json', join(linked, 'rootling.json'))
    await expect(init(linked)).rejects.toMatchObject({ code: 'bad-project' })
    const raced = await projectWith({})
    const ask: InitOptions['ask'] = async (guessed) => {
      writeFileSync(join(raced, 'rootling.json'), 'mine')
      return guessed
    }
    await expect(init(raced, { ask })).rejects.toMatchObject({ code: 'bad-project' })
    expect(readFileSync(join(raced, 'rootling.json'), 'utf8')).toBe('mine')
  })

  test('writes nothing for answers that would be faults', async () => {
    const directory = await projectWith({})
    const ask: InitOptions['ask'] = async (guessed) => ({
      ...guessed,
      names: ['a b'],
      cert: '../x.pem',
    })
    await expect(init(directory, { ask })).rejects.toMatchObject({
      code: 'bad-project',
      faults: [{ key: 'certificates[0].names[0]' }, { key: 'certificates[0].cert' }],
    })
    await expect(readProject({ directory })).rejects.toMatchObject({ code: 'bad-project' })
  })

  test('writes nothing into a home directory', async () => {
    const directory = await projectWith({})
    await expect(init(directory, { env: { HOME: directory } })).rejects.toMatchObject({
      code: 'bad-project',
    })
  })
})

test('each answer is checked by itself, as rootling.json would be', async () => {
  const directory = await projectWith({})
  expect(answerFault('names', { names: here }, directory)).toBeNull()
  expect(answerFault('names', { names: [] }, directory)).toContain('0 items')
  expect(answerFault('names', { names: ['a.test', 'shop.test:8443'] }, directory)).toContain(
    '"shop.test:8443"',
  )
  expect(answerFault('cert', { cert: '.certs/a.pem' }, directory)).toBeNull()
  expect(answerFault('cert', { cert: '../a.pem' }, directory)).toContain('two dots')
  expect(answerFault('cert', { cert: '' }, directory)).toContain('ends in .pem')
  expect(answerFault('key', { cert: 'a.pem', key: 'b.pem' }, directory)).toBeNull()
  expect(answerFault('key', { cert: 'a.pem', key: 'A.pem' }, directory)).toContain('the same as')
})

test('up at the root of a monorepo names the packages that have a rootling.json', async () => {
  const directory = await projectWith({
    'pnpm-workspace.yaml': 'packages:\n  - apps/*\n',
    'apps/shop/rootling.json': '{"version": 1}',
    'apps/api/rootling.json': '{"version": 1}',
    'apps/other/package.json': '{}',
  })
  const finding = { env: {}, owner: null }
  await expect(findProject({ ...finding, cwd: directory })).rejects.toMatchObject({
    code: 'bad-project',
    hint: 'Of its packages apps/api, apps/shop have one: cd apps/api && rootling up',
  })
  await expect(findProject({ ...finding, cwd: join(directory, 'apps') })).rejects.toMatchObject({
    hint: 'To write one: rootling init',
  })
})
