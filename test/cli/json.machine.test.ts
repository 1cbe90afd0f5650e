import { expect, test } from 'vitest'
import { namespaceUnavailable, openNamespace } from '../helpers/namespace.ts'
import { createAuthority, rootlingIn } from '../helpers/rootling.ts'
import { openHome } from '../helpers/home.ts'

// The shape of docs/json.md, key by key: a field that goes, or changes its name, breaks scripts.

const keys = (value: unknown) => Object.keys(value as object).toSorted()
const first = (value: unknown) => (value as readonly unknown[])[0]

const certificateKeys = [
  'certPath',
  'fingerprint',
  'identifiers',
  'keyPath',
  'keyType',
  'names',
  'notAfter',
  'notBefore',
  'purpose',
  'scope',
  'serialNumber',
]
const scopeKeys = [
  'constraints',
  'fingerprint',
  'name',
  'notAfter',
  'permitted',
  'rootPath',
  'subject',
  'use',
]

test('issue prints the certificate, and with --stdout its PEM too', async () => {
  const { json, createAuthority: create } = openHome()
  await create()
  const { exitCode, value, stderr } = await json(['issue', 'localhost', '127.0.0.1'])
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
  expect(keys(value)).toEqual(['certificate', 'issued', 'ok', 'replaced', 'warnings'])
  expect(keys(value['certificate'])).toEqual(expect.arrayContaining(certificateKeys))
  expect(value['certificate']).toMatchObject({
    names: ['localhost', '127.0.0.1'],
    scope: 'local',
    keyType: 'p256',
    purpose: 'server',
    fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
    notAfter: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
  })
  const printed = await json(['issue', '*.test', '--stdout'])
  expect(keys(printed.value['certificate'])).toEqual(
    expect.arrayContaining([...certificateKeys, 'cert', 'key']),
  )
  expect(printed.value['certificate']).toMatchObject({ certPath: null, keyPath: null })
  expect(printed.value['warnings']).toEqual([expect.stringContaining('Browsers refuse *.test')])
})

test('list prints what was issued with its standing, and nothing when there is nothing', async () => {
  const { json, createAuthority: create } = openHome()
  const empty = await json(['list'])
  expect(empty).toMatchObject({ exitCode: 0, value: { ok: true, certificates: [], warnings: [] } })
  await create()
  await json(['issue', 'app.localhost'])
  const { value } = await json(['list'])
  expect(keys(value)).toEqual(['certificates', 'ok', 'warnings'])
  expect(keys(first(value['certificates']))).toEqual(
    expect.arrayContaining([...certificateKeys, 'daysLeft', 'standing']),
  )
  expect(first(value['certificates'])).toMatchObject({ standing: 'current', daysLeft: 396 })
})

test('get prints the response, and --compare both views of it', async () => {
  const { json, serve, createAuthority: create } = openHome()
  await create()
  const { url } = await serve()
  const { exitCode, value } = await json(['get', url])
  expect(exitCode).toBe(0)
  const response = ['headers', 'httpVersion', 'remoteAddress', 'status', 'statusText', 'tls']
  expect(keys(value)).toEqual(
    ['body', 'ok', 'truncated', 'url', 'warnings', ...response].toSorted(),
  )
  const compared = await json(['get', '--compare', url])
  expect(keys(compared.value)).toEqual([
    'findings',
    'ok',
    'trusting',
    'untrusting',
    'url',
    'warnings',
  ])
  expect(keys(compared.value['trusting'])).toEqual(['ok', 'truncated', ...response].toSorted())
  expect(compared.value['untrusting']).toMatchObject({ ok: false, error: { code: 'not-trusted' } })
  expect(keys(compared.value['untrusting'])).toEqual(['error', 'ok'])
})

const reason = namespaceUnavailable()
test.skipIf(reason !== null)(
  `the commands of the stores print scopes and stores${reason ? ` [skipped: ${reason}]` : ''}`,
  async () => {
    const namespace = await openNamespace()
    try {
      const rootling = rootlingIn(namespace)
      const system = ['--stores', 'system']
      const storeKeys = ['anchor', 'outcome', 'store']

      const dry = (await rootling.json(['install', '--dry-run', ...system])).answer
      expect(keys(dry)).toEqual(['commands', 'dryRun', 'ok', 'stores', 'warnings'])
      expect(dry.stores?.map(({ outcome }) => outcome)).toEqual(['would-install'])

      await createAuthority(namespace)
      const installed = (await rootling.json(['install', '--yes', ...system])).answer
      expect(keys(installed)).toEqual([
        ...['created', 'kinds', 'ok', 'scopes', 'stale', 'stores', 'warnings'],
      ])
      expect(keys(installed.scopes?.[0])).toEqual(expect.arrayContaining(scopeKeys))
      expect(keys(installed.stores?.[0])).toEqual(storeKeys)
      expect(keys(installed.stores?.[0]?.store)).toEqual(['id', 'kind', 'title'])

      const permit = ['ca', 'permit', 'dev.example.com', '--name=work', '--yes', ...system]
      const permitted = (await rootling.json(permit)).answer
      expect(keys(permitted)).toEqual([
        ...['created', 'kinds', 'ok', 'scopes', 'stale', 'stores', 'warnings'],
      ])

      const status = (await rootling.json(['status', ...system])).answer
      expect(keys(status)).toEqual([
        'home',
        'kinds',
        'ok',
        'outdated',
        'revocation',
        'scopes',
        'stale',
        'stores',
        'trusted',
        'warnings',
      ])
      const checked = (await rootling.json(['doctor', ...system])).answer
      expect(keys(checked)).toEqual(['checked', 'findings', 'ok', 'servers', 'warnings'])
      const listed = (await rootling.json(['ca', 'list'])).answer
      expect(keys(listed)).toEqual(['ok', 'scopes', 'trusted', 'warnings'])
      expect(keys(listed.scopes?.[0])).toEqual(
        expect.arrayContaining([...scopeKeys, 'notTrustedBy', 'trustedBy']),
      )

      const forgotten = (await rootling.json(['ca', 'forget', 'work', '--yes'])).answer
      expect(keys(forgotten)).toEqual(['deleted', 'left', 'ok', 'scope', 'stores', 'warnings'])
      expect(forgotten.deleted).toBe(true)
      const removed = (await rootling.json(['uninstall', '--delete-ca', '--yes'])).answer
      expect(keys(removed)).toEqual([
        'authorities',
        'bundles',
        'daemons',
        'deleted',
        'hosts',
        'issued',
        'left',
        'ok',
        'stores',
        'warnings',
      ])
      expect(removed.deleted).toBe(true)

      const named = (await rootling.json(['hosts', 'add', 'shop.test'])).answer
      expect(keys(named)).toEqual(['added', 'file', 'ok', 'removed', 'shared', 'warnings'])
      const lines = (await rootling.json(['hosts', 'list'])).answer
      expect(keys(lines)).toEqual(['changed', 'file', 'gone', 'hosts', 'ok', 'user', 'warnings'])
      const plan = (await rootling.json(['hosts', 'remove', '--all', '--dry-run'])).answer
      expect(keys(plan)).toEqual([
        'changed',
        'dryRun',
        'file',
        'ok',
        'removed',
        'shared',
        'warnings',
      ])
    } finally {
      await namespace.close()
    }
  },
)
