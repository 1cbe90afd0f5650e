import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { permitScope } from '../../src/authority/create.ts'
import { containerTexts } from '../../src/containers/docker.ts'
import { images } from '../../src/containers/images.ts'
import { dockerSpec } from '../../src/cli/specs/runtimes.ts'
import { openHome } from '../helpers/home.ts'
import { hasTool, runTool } from '../helpers/tools.ts'

const ruby = await hasTool('ruby')

/** Reads YAML by Ruby's Psych, which nobody here wrote. */
async function yaml(text: string): Promise<unknown> {
  const script = 'require "yaml"; require "json"; puts JSON.dump(YAML.safe_load(STDIN.read))'
  const { stdout, stderr } = await runTool('ruby', ['-e', script], text)
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

const bind = (source: string, target: string) => ({
  type: 'bind',
  source,
  target,
  read_only: true,
  bind: { create_host_path: false },
})

test.skipIf(!ruby)('the Compose file mounts the files and names them in variables', async () => {
  const { rootling, directory, createAuthority } = openHome()
  await createAuthority()
  const { exitCode, stdout, stderr } = await rootling([
    'docker',
    '--for',
    'compose',
    'shop.test',
    'API.shop.test',
  ])
  expect([exitCode, stderr]).toEqual([0, ''])
  const bundles = join(directory, 'state/bundles')
  const { services } = (await yaml(stdout)) as {
    services: {
      app: { volumes: unknown[]; environment: Record<string, string>; extra_hosts: unknown }
    }
  }
  expect(services.app.volumes).toEqual([
    bind(join(bundles, 'roots.pem'), '/etc/rootling/roots.pem'),
    bind(join(bundles, 'bundle.pem'), '/etc/rootling/bundle.pem'),
  ])
  expect(services.app.environment).toMatchObject({
    NODE_EXTRA_CA_CERTS: '/etc/rootling/roots.pem',
    SSL_CERT_FILE: '/etc/rootling/bundle.pem',
    REQUESTS_CA_BUNDLE: '/etc/rootling/bundle.pem',
  })
  expect(services.app.extra_hosts).toEqual(['shop.test:host-gateway', 'api.shop.test:host-gateway'])
  // What is mounted is public, and every user of a container may read it.
  for (const name of ['roots.pem', 'bundle.pem']) {
    expect(statSync(join(bundles, name)).mode & 0o777).toBe(0o644)
    expect(readFileSync(join(bundles, name), 'utf8')).not.toContain('PRIVATE KEY')
  }
})

test('devcontainer.json is JSON that mounts the same', async () => {
  const { rootling, directory, createAuthority, json } = openHome()
  await createAuthority()
  const { stdout } = await rootling(['docker', '--for', 'devcontainer', 'shop.test'])
  // The path is the same for every teammate, below the home directory of each.
  const roots = '${localEnv:HOME}/state/bundles/roots.pem'
  expect(existsSync(join(directory, 'state/bundles/roots.pem'))).toBe(true)
  const devcontainer: unknown = JSON.parse(stdout)
  expect(devcontainer).toMatchObject({
    mounts: [
      `source=${roots},target=/etc/rootling/roots.pem,type=bind,readonly`,
      expect.stringMatching(/^source=.*bundle\.pem,target=\/etc\/rootling\/bundle\.pem,/),
    ],
    containerEnv: { NODE_EXTRA_CA_CERTS: '/etc/rootling/roots.pem' },
    runArgs: ['--add-host=shop.test:host-gateway'],
  })
  const { value } = await json(['docker', 'shop.test'])
  expect(value['devcontainer']).toEqual(devcontainer)
  expect(Object.keys(value['dockerfile'] as object)).toEqual(images.map(({ name }) => name))
})

test('the Compose file names the services that are given, else those of compose.yaml, else app', async () => {
  const { rootling, directory, createAuthority } = openHome()
  await createAuthority()
  const services = async (...flags: string[]) => {
    const { exitCode, stdout } = await rootling(['docker', '--for', 'compose', ...flags])
    expect(exitCode).toBe(0)
    return [...stdout.matchAll(/^ {2}([^ #].*):$/gm)].map(([, name]) => name)
  }
  const comment = '  # app stands for your service: rootling docker --for compose --service NAME'
  const { stdout } = await rootling(['docker', '--for', 'compose'])
  expect(stdout.split('\n').slice(0, 3)).toEqual(['services:', comment, '  app:'])
  writeFileSync(
    join(directory, 'compose.yaml'),
    'services:\n  web:\n    image: nginx\n  db:\n    image: postgres\nvolumes:\n  data:\n',
  )
  expect(await services()).toEqual(['web', 'db'])
  expect(await services('--service', 'api', '--service', 'on')).toEqual(['api', '"on"'])
  for (const flags of [
    ['--service', 'a b'],
    ['--service', 'web', '--for', 'dockerfile'],
  ]) {
    const refused = await rootling(['docker', ...flags])
    expect([refused.exitCode, refused.stdout]).toEqual([2, ''])
    expect(refused.stderr).toMatch(/^Error: .*\n.* rootling docker /)
  }
})

test('a devcontainer by Compose gets what tools read there', async () => {
  const { rootling, directory, createAuthority } = openHome()
  await createAuthority()
  mkdirSync(join(directory, '.devcontainer'))
  writeFileSync(
    join(directory, '.devcontainer/devcontainer.json'),
    '{\n  // By Compose\n  "dockerComposeFile": "../compose.yaml", "service": "web",\n}',
  )
  const { stdout, stderr } = await rootling(['docker', '--for', 'devcontainer', 'shop.test'])
  expect(Object.keys(JSON.parse(stdout) as object)).toEqual(['mounts', 'remoteEnv'])
  expect(stderr).toContain('rootling docker --for compose shop.test\n')
})

test('names come with the address at which a server must listen on Linux', async () => {
  const { rootling, createAuthority } = openHome()
  await createAuthority()
  const line = 'rootling serve --host 172.17.0.1 shop.test\n'
  const compose = await rootling(['docker', '--for', 'compose', 'shop.test'])
  expect(compose.stdout).toContain(line)
  const devcontainer = await rootling(['docker', '--for', 'devcontainer', 'shop.test'])
  expect(devcontainer.stderr).toContain(line)
  expect((await rootling(['docker', '--for', 'compose'])).stdout).not.toContain('--host')
})

test('every image can be asked for, and distroless can only mount', async () => {
  const { rootling, createAuthority } = openHome()
  await createAuthority()
  expect(images.map(({ name }) => name).toSorted()).toEqual(
    dockerSpec.options.image.choices.toSorted(),
  )
  for (const { name, lines } of images) {
    const { exitCode, stdout } = await rootling(['docker', '--for', 'dockerfile', '--image', name])
    expect([exitCode, stdout]).toEqual(
      lines.length === 0 ? [1, ''] : [0, lines.map((line) => `${line}\n`).join('')],
    )
    // Nothing is said of keys or of the state directory, whose files an image must not hold.
    expect(lines.join('\n')).not.toMatch(/key|scopes/i)
    const whole = await rootling(['docker', '--image', name])
    expect(whole.exitCode).toBe(0)
    for (const line of ['services:', '"containerEnv": {', ...lines])
      expect(whole.stdout).toContain(line)
  }
})

test('a Dockerfile gets every root, in a file of its own where several in one are not read', async () => {
  const { rootling, run, directory, createAuthority } = openHome()
  await createAuthority()
  const state = { path: join(directory, 'state'), owner: null }
  await permitScope(state, { permit: ['dev.example.com'], name: 'work' }, new Date())
  const { stdout } = await rootling(['docker'])
  const hint = /For the Dockerfile: \S+ rootling (.*)/.exec(stdout)?.[1] ?? ''
  expect(hint).toBe('ca export --all --out rootling.crt')
  expect((await rootling(hint.split(' '))).exitCode).toBe(0)
  for (const name of ['debian', 'alpine', 'temurin']) {
    const lines = images.find((image) => image.name === name)?.lines ?? []
    const line = lines.find((each) => each.includes('awk')) ?? ''
    const place = join(directory, name)
    const script = line
      .replace(/^RUN /, '')
      .replace(/ && update-ca-certificates$/, '')
      .replaceAll(/\/(?:usr\/local\/share\/ca-)?certificates/g, place)
      .replace('/tmp/rootling.crt', join(directory, 'rootling.crt'))
    const { exitCode, stderr } = await run('sh', ['-c', script])
    expect([exitCode, stderr]).toEqual([0, ''])
    const roots = ['1', '2'].map((i) => readFileSync(join(place, `rootling-${i}.crt`), 'utf8'))
    for (const pem of roots) expect(pem.match(/BEGIN CERT/g)).toHaveLength(1)
    expect(readdirSync(place)).toHaveLength(2)
    expect(roots.join('')).toBe(readFileSync(join(directory, 'rootling.crt'), 'utf8'))
  }
})

describe('what Docker would read otherwise is refused', () => {
  const files = { roots: '/a/roots.pem', bundle: '/a/bundle.pem' }
  test.each([
    'localhost',
    'app.LOCALHOST',
    '*.shop.test',
    '10.0.0.1',
    '::1',
    'a:b',
    'a b',
    '',
    '-x',
    'a"b',
    'a\nb',
  ])('the name %j', (name) => {
    expect(() => containerTexts(files, [name])).toThrow(expect.objectContaining({ code: 'usage' }))
  })
  test.each(['/a,b/roots.pem', '/a"b/roots.pem', '/a\nb/roots.pem'])('the path %j', (roots) => {
    expect(() => containerTexts({ ...files, roots }, [])).toThrow(
      expect.objectContaining({ code: 'usage' }),
    )
  })
  test.skipIf(!ruby)('but any other path is written so that Compose reads it', async () => {
    const roots = `/it's $HOME #1: {x} \\ü/roots.pem`
    const parsed = await yaml(containerTexts({ ...files, roots }, []).compose)
    expect(parsed).toMatchObject({
      services: { app: { volumes: [{ source: roots.replaceAll('$', '$$$$') }, {}] } },
    })
  })
})

test('without an authority there is a hint and no output', async () => {
  const { rootling } = openHome()
  const { exitCode, stdout, stderr } = await rootling(['docker'])
  expect([exitCode, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^Error: There is no certificate authority yet\.\n.* rootling install\n$/)
})

test('a name that is refused leaves nothing behind', async () => {
  const { rootling, directory, createAuthority } = openHome()
  await createAuthority()
  const { exitCode, stdout, stderr } = await rootling(['docker', 'app.localhost'])
  expect([exitCode, stdout]).toEqual([2, ''])
  expect(stderr).toMatch(
    /^Error: app\.localhost is the container itself, .*\n.*rootling docker shop\.test\n$/,
  )
  expect(existsSync(join(directory, 'state/bundles'))).toBe(false)
})

test('an image goes with a Dockerfile alone', async () => {
  const { rootling, createAuthority } = openHome()
  await createAuthority()
  const { exitCode, stdout } = await rootling(['docker', '--for', 'compose', '--image', 'alpine'])
  expect([exitCode, stdout]).toEqual([2, ''])
})
