import { mkdirSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { checkEnvironment } from '../../src/doctor/checks/environment.ts'
import { makeWorld, type World } from '../helpers/authority.ts'
import { knownOf } from './known.ts'

async function found(world: World, env: Readonly<Record<string, string>>): Promise<string[]> {
  const { findings } = await checkEnvironment(knownOf(world, env))
  return findings.map(({ code, subject }) => `${code} ${subject}`)
}

/** Writes files that hold no root of the authority, and returns their paths. */
function uselessFiles({ path, scope }: World): Readonly<Record<string, string>> {
  writeFileSync(path('empty.pem'), '')
  writeFileSync(path('der.pem'), scope.root.raw)
  mkdirSync(path('directory'))
  // The intermediate is no root, as that of a company is not ours.
  return {
    empty: path('empty.pem'),
    der: path('der.pem'),
    directory: path('directory'),
    other: path('intermediate.pem'),
  }
}

test('finds that NODE_EXTRA_CA_CERTS names what gives Node no root of the authority', async () => {
  const world = await makeWorld()
  for (const [title, NODE_EXTRA_CA_CERTS] of Object.entries(uselessFiles(world))) {
    const { findings } = await checkEnvironment(knownOf(world, { NODE_EXTRA_CA_CERTS }))
    const reason =
      title === 'other' ? 'which lacks the root' : 'from which no certificate in PEM can be read'
    expect(findings, title).toMatchObject([
      {
        code: 'variable-lacks-root',
        severity: 'error',
        sentence: `NODE_EXTRA_CA_CERTS names ${NODE_EXTRA_CA_CERTS}, ${reason}, so Node, npm, Bun, Deno do not trust the root by it.`,
        command: 'eval "$(rootling env)"',
      },
    ])
  }
  expect(await found(world, { NODE_EXTRA_CA_CERTS: world.path('root.pem') })).toEqual([])
})

test('finds nothing where Node and Deno read the system’s roots, or the root was taken out', async () => {
  const world = await makeWorld()
  const { other = '' } = uselessFiles(world)
  expect(await found(world, { DENO_CERT: other })).toEqual(['variable-lacks-root DENO_CERT'])
  for (const env of [
    { NODE_EXTRA_CA_CERTS: other, NODE_USE_SYSTEM_CA: '1' },
    { NODE_EXTRA_CA_CERTS: other, NODE_OPTIONS: '--use-system-ca' },
    { DENO_CERT: other, DENO_TLS_CA_STORE: 'mozilla,system' },
  ])
    expect(await found(world, env)).toEqual([])
  const known = knownOf(world, { NODE_EXTRA_CA_CERTS: other }, { untrusted: ['local'] })
  expect((await checkEnvironment(known)).findings).toEqual([])
})

test('finds that a variable which replaces all roots names what holds none', async () => {
  const world = await makeWorld()
  const { empty = '', der = '', directory = '' } = uselessFiles(world)
  for (const SSL_CERT_FILE of [empty, der, directory, '/etc/ssl/certs']) {
    const { findings } = await checkEnvironment(knownOf(world, { SSL_CERT_FILE }))
    expect(findings).toMatchObject([
      {
        code: 'variable-replaces-roots',
        sentence: expect.stringContaining('from which no certificate in PEM can be read'),
      },
    ])
  }
})

test.each([
  'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
  'BUNDLE_SSL_CA_CERT',
  'HEX_CACERTS_PATH',
  'HTTPLIB2_CA_CERTS',
])('knows %s, which replaces all roots', async (name) => {
  const world = await makeWorld()
  const { other = '' } = uselessFiles(world)
  expect(await found(world, { [name]: '/etc/gone.pem' })).toEqual([
    `variable-names-missing-file ${name}`,
  ])
  expect(await found(world, { [name]: other })).toEqual([`variable-replaces-roots ${name}`])
  expect(await found(world, { [name]: world.path('cas.pem') })).toEqual([])
})

test.each([
  ['YARN_ENABLE_STRICT_SSL', 'false', 'true'],
  ['PERL_LWP_SSL_VERIFY_HOSTNAME', '0', '1'],
])('finds that %s=%s switches verification off', async (name, off, on) => {
  const world = await makeWorld()
  expect(await found(world, { [name]: off })).toEqual([`verification-off ${name}`])
  expect(await found(world, { [name]: on })).toEqual([])
})

test.each([
  ['/usr/bin/fish', 'rootling env | source'],
  ['/usr/bin/pwsh', 'rootling env | Out-String | Invoke-Expression'],
  ['/bin/zsh', 'eval "$(rootling env)"'],
])('names the command that %s reads', async (SHELL, command) => {
  const world = await makeWorld()
  const { other = '' } = uselessFiles(world)
  const known = knownOf(world, { NODE_EXTRA_CA_CERTS: other, SHELL })
  expect((await checkEnvironment(known)).findings).toMatchObject([{ command }])
})
