import { X509Certificate } from 'node:crypto'
import { chmodSync, readFileSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { issueIfNeeded } from '../../src/certificates/if-needed.ts'
import { openHome } from '../helpers/home.ts'

async function openAuthority() {
  const home = openHome()
  await home.createAuthority()
  const path = (name: string): string => join(home.directory, name)
  const serialOf = (name: string): string =>
    new X509Certificate(readFileSync(path(name))).serialNumber.toLowerCase()
  return { ...home, path, serialOf }
}

test('issue --if-needed does nothing where the files are good, and says what is replaced', async () => {
  const { json, rootling, path, serialOf } = await openAuthority()
  const line = ['issue', 'shop.test', '*.shop.test', '--cert-file=tls.crt', '--key-file=tls.key']
  const asked = async (...more: string[]) => {
    const { value } = await json([...line, '--if-needed', ...more])
    return { issued: value['issued'], replaced: value['replaced'] }
  }
  const [made, kept, replaced] = [
    { issued: true, replaced: false },
    { issued: false, replaced: false },
    { issued: true, replaced: true },
  ]
  expect(await asked()).toEqual(made)
  const first = serialOf('tls.crt')
  expect(await asked()).toEqual(kept)
  const again = await rootling([...line, '--if-needed'])
  expect(again).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining(' ~/tls.key\n'),
    stderr: expect.stringMatching(
      /^Kept the certificate for shop\.test, \*\.shop\.test, good until/,
    ),
  })
  expect(serialOf('tls.crt')).toBe(first)
  // What was asked for is something else.
  expect(await asked('--key-type=p384')).toEqual(replaced)
  expect(await asked('--key-type=p384')).toEqual(kept)
  expect(await asked('--key-type=p384', '--days=30')).toEqual(replaced)
  expect(await asked('--key-type=p384', 'more.test')).toEqual(replaced)
  const names = await json([
    'issue',
    'more.test',
    ...line.slice(1),
    '--if-needed',
    '--key-type=p384',
  ])
  expect(names.value['issued']).toBe(false)
  // A file is gone, or the certificate is revoked.
  rmSync(path('tls.crt'))
  expect(await asked('--force')).toEqual(made)
  rmSync(path('tls.key'))
  expect(await asked('--force')).toEqual(replaced)
  await rootling(['revoke', 'tls.crt'])
  expect(await asked()).toEqual(replaced)
  expect(await asked()).toEqual(kept)
  await rootling(['revoke', 'tls.crt', '--reason', 'certificateHold'])
  expect(await asked()).toEqual(replaced)
  expect(await asked()).toEqual(kept)
  const { stderr } = await rootling([...line])
  expect(stderr).toMatch(/^Replaced the certificate for shop\.test/)
})

test('issue --if-needed replaces what is due', async () => {
  const { rootling, path, serialOf } = await openAuthority()
  const line = ['issue', 'old.test', '--days', '1', '--if-needed']
  await rootling(line)
  const first = serialOf('old.test.pem')
  await rootling(line)
  expect(serialOf('old.test.pem')).toBe(first)
  const later = new Date(Date.now() + 20 * 3_600_000)
  const request = { names: ['old.test'], files: { outDir: path('.') } }
  const state = { path: path('state'), owner: null }
  expect(await issueIfNeeded(state, request, later)).toMatchObject({ replaced: true })
  expect(serialOf('old.test.pem')).not.toBe(first)
  expect(await issueIfNeeded(state, request, later)).toHaveProperty('kept')
})

const mode = (path: string): string => (statSync(path).mode & 0o777).toString(8)

test('--key-mode and --group are those of the key, also after a renewal; other modes are refused', async () => {
  const { rootling, json, path } = await openAuthority()
  const group = process.getgroups?.().find((gid) => gid !== process.getegid?.()) ?? 0
  const gid = process.geteuid?.() === 0 ? 1234 : group
  const line = ['issue', 'db.test', '--full', '--pkcs12', `--group=${gid}`]
  const { value } = await json(line)
  expect(value['certificate']).toMatchObject({ keyMode: '0640' })
  const secrets = ['db.test-key.pem', 'db.test-full.pem', 'db.test.p12']
  const access = () => secrets.map((name) => `${mode(path(name))} ${statSync(path(name)).gid}`)
  expect(access()).toEqual(secrets.map(() => `640 ${gid}`))
  expect(mode(path('db.test.p12.password'))).toBe('600')
  expect(mode(path('db.test.pem'))).toBe('644')
  expect(await rootling(['renew', 'db.test', '--rekey'])).toMatchObject({ exitCode: 0 })
  expect(access()).toEqual(secrets.map(() => `640 ${gid}`))
  expect((await json([...line, '--if-needed'])).value['issued']).toBe(false)
  // What others were not to read is still refused.
  chmodSync(path('db.test-key.pem'), 0o644)
  expect(await rootling(['renew', 'db.test'])).toMatchObject({
    exitCode: 1,
    stdout: expect.stringContaining('chmod 640'),
  })
  await rootling(['issue', 'ro.test', '--key-mode', '0440'])
  expect(mode(path('ro.test-key.pem'))).toBe('440')
  for (const wrong of ['0644', '0666', '640', 'rw']) {
    const refused = await rootling(['issue', 'no.test', '--key-mode', wrong])
    expect(refused).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('0640') })
  }
  const unknown = await rootling(['issue', 'no.test', '--group', 'no-such-group'])
  expect(unknown).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('no-such-group') })
})
