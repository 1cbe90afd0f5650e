import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ensureAuthority, permitScope } from '../../src/authority/create.ts'
import { forgetScope } from '../../src/authority/delete.ts'
import { readScopes } from '../../src/authority/scope.ts'
import { retireBundles, updateBundles } from '../../src/runtimes/bundles.ts'
import { beginRotation, finishRotation, switchRotation } from '../../src/trust/rotate.ts'
import { changesBack, environmentFor, withChanges } from '../../src/runtimes/environment.ts'
import { variables, type Environment } from '../../src/runtimes/variables.ts'
import { pemBlocks } from '../../src/x509/pem.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { foreignRoot } from './world.ts'

const now = new Date()

async function open() {
  const state = await temporaryState()
  await ensureAuthority(state, now)
  const directory = await temporaryDirectory()
  const corporate = await foreignRoot()
  const file = join(directory, 'corporate.pem')
  writeFileSync(file, corporate)
  const environment = (env: Environment = {}, replace = true) =>
    environmentFor({ state, env, replace, cwd: () => directory })
  /** What a child gets. */
  const child = async (env: Environment = {}, replace = true) =>
    withChanges(env, (await environment(env, replace)).changes)
  const own = async () => (await readScopes(state)).map(({ root }) => root.raw.toString('base64'))
  return { state, directory, corporate, file, environment, child, own }
}

const rootsIn = (path: string | undefined) =>
  pemBlocks(readFileSync(path ?? '', 'utf8')).map(({ der }) => der.toString('base64'))
const derOf = (pem: string) => pemBlocks(pem)[0]?.der.toString('base64') ?? ''

const adding = ['DENO_TLS_CA_STORE', 'NODE_EXTRA_CA_CERTS', 'NODE_USE_SYSTEM_CA']
const replacing = [
  'CARGO_HTTP_CAINFO',
  'CURL_CA_BUNDLE',
  'GIT_SSL_CAINFO',
  'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
  'PERL_LWP_SSL_CA_FILE',
  'PIP_CERT',
  'REQUESTS_CA_BUNDLE',
  'SSL_CERT_FILE',
]
const git = ['GIT_CONFIG_COUNT', 'GIT_CONFIG_KEY_0', 'GIT_CONFIG_VALUE_0']

test('variables that replace other roots are set only on request', async () => {
  const { environment } = await open()
  const names = async (replace: boolean) => [...(await environment({}, replace)).changes.keys()]
  expect((await names(false)).toSorted()).toEqual([...adding, ...git, 'ROOTLING_ENV'].toSorted())
  expect((await names(true)).toSorted()).toEqual(
    [...adding, ...replacing, ...git, 'ROOTLING_ENV'].toSorted(),
  )
})

test('a bundle holds the roots of the system, those named before, and ours, in this order', async () => {
  const { child, corporate, file, own } = await open()
  const { SSL_CERT_FILE, CURL_CA_BUNDLE } = await child({ SSL_CERT_FILE: file })
  const roots = rootsIn(SSL_CERT_FILE)
  expect(roots.slice(-2)).toEqual([derOf(corporate), ...(await own())])
  expect(roots.length).toBeGreaterThan(10)
  expect(new Set(roots).size).toBe(roots.length)
  // The other variables named nothing.
  expect(rootsIn(CURL_CA_BUNDLE)).toEqual(roots.filter((root) => root !== derOf(corporate)))
  expect(statSync(SSL_CERT_FILE ?? '').mode & 0o777).toBe(0o644)
})

test('NODE_EXTRA_CA_CERTS names one file with what it named before and ours', async () => {
  const { child, corporate, file, own } = await open()
  const { NODE_EXTRA_CA_CERTS } = await child({ NODE_EXTRA_CA_CERTS: file })
  expect(rootsIn(NODE_EXTRA_CA_CERTS)).toEqual([derOf(corporate), ...(await own())])
  expect(rootsIn((await child())['NODE_EXTRA_CA_CERTS'])).toEqual(await own())
})

test('gRPC gets a file of its own only where Node’s clients of it lose no root by that', async () => {
  const { child, corporate, file, own } = await open()
  const name = 'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH'
  expect(await child({ NODE_EXTRA_CA_CERTS: file })).not.toHaveProperty(name)
  const both = await child({ NODE_EXTRA_CA_CERTS: file, [name]: file })
  expect(rootsIn(both[name]).slice(-2)).toEqual([derOf(corporate), ...(await own())])
  // A child of a child gets the same.
  expect((await child(await child()))[name]).toBe((await child())[name])
})

test('a bundle holds certificates only, whatever stands beside them in the file', async () => {
  const { child, corporate, file } = await open()
  const key = '-----BEGIN PRIVATE KEY-----\nMC4CAQ==\n-----END PRIVATE KEY-----\n'
  writeFileSync(file, `secret words\n${key}${corporate}`)
  const { SSL_CERT_FILE = '' } = await child({ SSL_CERT_FILE: file })
  const text = readFileSync(SSL_CERT_FILE, 'utf8')
  expect(text).not.toMatch(/PRIVATE KEY|secret words/)
  expect(rootsIn(SSL_CERT_FILE)).toContain(derOf(corporate))
})

test('a bundle is made again when the roots, or the file named before, changed or it was damaged', async () => {
  const { state, child, file, own } = await open()
  const env = { SSL_CERT_FILE: file }
  const first = (await child(env))['SSL_CERT_FILE'] ?? ''
  const written = () => statSync(first, { bigint: true }).mtimeNs
  const before = written()
  expect((await child(env))['SSL_CERT_FILE']).toBe(first)
  expect(written()).toBe(before)

  const other = await foreignRoot()
  writeFileSync(file, other)
  await child(env)
  expect(rootsIn(first)).toContain(derOf(other))

  await permitScope(state, { permit: ['dev.example.com'], name: 'work' }, now)
  await child(env)
  expect(rootsIn(first).slice(-2)).toEqual(await own())

  const whole = readFileSync(first, 'utf8')
  truncateSync(first, whole.length - 100)
  await child(env)
  expect(readFileSync(first, 'utf8')).toBe(whole)
})

test('a child of a child gets what the child got, and no file of ours becomes a part of another', async () => {
  const { child, file, state } = await open()
  const first = await child({ SSL_CERT_FILE: file, NODE_EXTRA_CA_CERTS: file, PATH: '/bin' })
  const files = readdirSync(join(state.path, 'bundles'))
  expect(await child(first)).toEqual(first)
  expect(readdirSync(join(state.path, 'bundles'))).toEqual(files)
  // Without what the environment remembers, as from a dotenv file.
  const { ROOTLING_ENV: _memory, ...loaded } = first
  expect((await child(loaded))['SSL_CERT_FILE']).toBe(first['SSL_CERT_FILE'])
})

describe('what was set is taken back exactly', () => {
  const cases: Readonly<Record<string, Environment>> = {
    'nothing before': { PATH: '/bin' },
    'own values before': {
      NODE_USE_SYSTEM_CA: '1',
      DENO_TLS_CA_STORE: 'mozilla',
      SSL_CERT_DIR: '/etc/ssl/certs',
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'http.proxy',
      GIT_CONFIG_VALUE_0: 'http://proxy:3128',
    },
    'a choice against the store': { NODE_USE_SYSTEM_CA: '0', DENO_TLS_CA_STORE: 'system' },
  }
  test.each(Object.entries(cases))('%s', async (_, env) => {
    const { child, state } = await open()
    const set = await child(env)
    expect(set).not.toEqual(env)
    expect(withChanges(set, changesBack(state, set))).toEqual(env)
  })

  test('files named before', async () => {
    const { child, state, file } = await open()
    const env = { SSL_CERT_FILE: file, NODE_EXTRA_CA_CERTS: file, AWS_CA_BUNDLE: file }
    const set = await child(env)
    expect(Object.values(set)).not.toContain(file)
    expect(withChanges(set, changesBack(state, set))).toEqual(env)
  })

  test('but not what others have set since', async () => {
    const { child, state, file } = await open()
    const set = {
      ...(await child({})),
      SSL_CERT_FILE: file,
      NODE_USE_SYSTEM_CA: '0',
      GIT_CONFIG_COUNT: '2',
      GIT_CONFIG_KEY_1: 'http.proxy',
      GIT_CONFIG_VALUE_1: 'http://proxy:3128',
    }
    expect(withChanges(set, changesBack(state, set))).toEqual({
      SSL_CERT_FILE: file,
      NODE_USE_SYSTEM_CA: '0',
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'http.proxy',
      GIT_CONFIG_VALUE_0: 'http://proxy:3128',
    })
  })

  test.each(['{', '[]', '"x"', '{"NODE_USE_SYSTEM_CA":5}', '{"PATH":"/evil"}'])(
    'a memory that is %s changes nothing else',
    async (memory) => {
      const { state } = await open()
      const env = { ROOTLING_ENV: memory, PATH: '/bin', NODE_USE_SYSTEM_CA: '1' }
      const { ROOTLING_ENV: _, ...rest } = env
      expect(withChanges(env, changesBack(state, env))).toEqual(rest)
    },
  )
})

test('what a variable named and that cannot be read is told, and the rest is there', async () => {
  const { environment, directory, file } = await open()
  const missing = join(directory, 'gone.pem')
  const { changes, problems } = await environment({ SSL_CERT_FILE: missing, PIP_CERT: directory })
  expect(problems).toEqual([
    `SSL_CERT_FILE is set, but no certificate in PEM could be read from ${missing}.`,
  ])
  expect(rootsIn(changes.get('SSL_CERT_FILE') ?? '').length).toBeGreaterThan(10)
  // Of a directory all files count.
  expect(rootsIn(changes.get('PIP_CERT') ?? '')).toContain(derOf(readFileSync(file, 'utf8')))
  // It is told again, although the file is up to date.
  expect((await environment({ SSL_CERT_FILE: missing })).problems).toEqual(problems)
})

test('a relative path is read from the directory of the command', async () => {
  const { child, corporate } = await open()
  const { SSL_CERT_FILE } = await child({ SSL_CERT_FILE: 'corporate.pem' })
  expect(rootsIn(SSL_CERT_FILE)).toContain(derOf(corporate))
})

test('libpq is given roots only where it checks them, or had some', async () => {
  const { child, file } = await open()
  expect((await child({}))['PGSSLROOTCERT']).toBeUndefined()
  expect((await child({ PGSSLMODE: 'require' }))['PGSSLROOTCERT']).toBeUndefined()
  expect((await child({ PGSSLROOTCERT: 'system' }))['PGSSLROOTCERT']).toBe('system')
  expect((await child({ PGSSLMODE: 'verify-full' }))['PGSSLROOTCERT']).toMatch(/bundle\.pem$/)
  expect((await child({ PGSSLROOTCERT: file }))['PGSSLROOTCERT']).toMatch(
    /bundle-[0-9a-f]{16}\.pem$/,
  )
})

test('roots that a configuration of git names are not replaced', async () => {
  const { child, directory } = await open()
  const HOME = directory
  expect((await child({ HOME }))['GIT_SSL_CAINFO']).toMatch(/bundle\.pem$/)
  writeFileSync(join(directory, '.gitconfig'), '[http]\n\tsslCAInfo = /corporate.pem\n')
  expect((await child({ HOME }))['GIT_SSL_CAINFO']).toBeUndefined()
})

test('NODE_OPTIONS is left alone, since Node 20 would stop at --use-system-ca', () => {
  expect(variables.map(({ name }) => name)).not.toContain('NODE_OPTIONS')
})

test('without an authority nothing is made', async () => {
  const state = await temporaryState()
  const made = environmentFor({ state, env: {}, replace: true })
  await expect(made).rejects.toMatchObject({ code: 'no-authority', hint: 'rootling install' })
  expect(existsSync(state.path)).toBe(false)
})

test('the files follow a rotation in place, without a gap', async () => {
  const { state, child, own } = await open()
  const { SSL_CERT_FILE } = await child({})
  const held = () => rootsIn(SSL_CERT_FILE)
  const before = held()
  const begun = await beginRotation(state, 'local', now)
  const next = begun.next.root.raw.toString('base64')
  expect(held()).toEqual([...before, next])
  const switched = await switchRotation(state, begun)
  expect(held().toSorted()).toEqual([...before, next].toSorted())
  await finishRotation(state, switched)
  expect(held()).toEqual([...before.slice(0, -1), ...(await own())])
})

test('files that programs may still read stay, without our roots', async () => {
  const { state, child, corporate, file, own } = await open()
  await permitScope(state, { permit: ['dev.example.com'], name: 'work' }, now)
  const env = await child({ SSL_CERT_FILE: file })
  const roots = rootsIn(env['SSL_CERT_FILE'])
  await forgetScope(state, 'work')
  await updateBundles(state)
  expect(rootsIn(env['SSL_CERT_FILE'])).toEqual(roots.slice(0, -1))
  await retireBundles(state)
  for (const name of ['SSL_CERT_FILE', 'CURL_CA_BUNDLE', 'NODE_EXTRA_CA_CERTS'] as const) {
    const held = rootsIn(env[name])
    for (const root of await own()) expect(held).not.toContain(root)
  }
  expect(rootsIn(env['SSL_CERT_FILE'])).toEqual(roots.slice(0, -2))
  expect(rootsIn(env['SSL_CERT_FILE'])).toContain(derOf(corporate))
  // The next child gets ours again.
  expect(rootsIn((await child({ SSL_CERT_FILE: file }))['SSL_CERT_FILE'])).toEqual(
    roots.slice(0, -1),
  )
  // A deletion leaves only what replaces other roots.
  const left = await retireBundles(state, { isDeleted: true })
  expect(left.length).toBe(2)
  expect(left.every((path) => /bundle(?:-[0-9a-f]{16})?\.pem$/.test(path))).toBe(true)
  expect(existsSync(env['NODE_EXTRA_CA_CERTS'] ?? '')).toBe(false)
})

test('a configuration of git that is no file names no roots', async () => {
  const { directory, child } = await open()
  mkdirSync(join(directory, '.gitconfig'))
  expect(await child({ HOME: directory })).toHaveProperty('GIT_SSL_CAINFO')
})
