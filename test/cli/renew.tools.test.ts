import { X509Certificate } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openHome } from '../helpers/home.ts'

/** The first command makes the authority, which signs nothing for a time before it. */
async function openWithCertificates(first: 'createAuthority' | 'issueExpired' = 'createAuthority') {
  const home = openHome()
  await home[first]()
  const path = (name: string): string => join(home.directory, name)
  const serialOf = (name: string): string =>
    new X509Certificate(readFileSync(path(name))).serialNumber.toLowerCase()
  return { ...home, path, serialOf }
}

test('renew by name, serial number or file keeps key and modes, and runs its command after', async () => {
  const { rootling, path, serialOf } = await openWithCertificates()
  // Commands run in /, whoever renews.
  const command = `cd ${path('.')} && cp shop.test.pem seen.pem && echo ran >> ran.txt`
  await rootling(['issue', 'shop.test', '--on-renew', command])
  chmodSync(path('shop.test.pem'), 0o640)
  const key = readFileSync(path('shop.test-key.pem'), 'utf8')
  for (const name of [
    () => 'shop.test',
    () => serialOf('shop.test.pem'),
    () => path('shop.test.pem'),
  ]) {
    const before = serialOf('shop.test.pem')
    const renewed = await rootling(['renew', name()])
    expect(renewed).toMatchObject({ exitCode: 0, stderr: `Ran: ${command}\n` })
    expect(serialOf('shop.test.pem')).not.toBe(before)
    // What the command saw was the new certificate.
    expect(serialOf('seen.pem')).toBe(serialOf('shop.test.pem'))
  }
  expect(readFileSync(path('ran.txt'), 'utf8')).toBe('ran\nran\nran\n')
  expect(readFileSync(path('shop.test-key.pem'), 'utf8')).toBe(key)
  expect(statSync(path('shop.test.pem')).mode & 0o777).toBe(0o640)
})

test('a command that fails is told of with exit code 1; the certificate is renewed all the same', async () => {
  const { rootling, serialOf } = await openWithCertificates()
  await rootling(['issue', 'shop.test', '--on-renew', 'echo no such server >&2; exit 7'])
  const before = serialOf('shop.test.pem')
  const { exitCode, stderr } = await rootling(['renew', 'shop.test'])
  expect(exitCode).toBe(1)
  expect(stderr).toContain('failed with exit code 7. no such server')
  expect(serialOf('shop.test.pem')).not.toBe(before)
})

test('an empty command is refused before anything is issued', async () => {
  const { rootling, path } = await openWithCertificates()
  for (const command of ['', ' '])
    expect(await rootling(['issue', 'shop.test', '--on-renew', command])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining('--on-renew needs a command'),
    })
  expect(existsSync(path('shop.test.pem'))).toBe(false)
})

test('two certificates with one command run it once', async () => {
  const { rootling, path } = await openWithCertificates()
  for (const name of ['a.test', 'b.test'])
    await rootling(['issue', name, '--on-renew', `echo reload >> ${path('reloads.txt')}`])
  expect((await rootling(['renew', '--all'])).exitCode).toBe(0)
  expect(readFileSync(path('reloads.txt'), 'utf8')).toBe('reload\n')
})

test('--due renews what is due alone, and list tells it apart', async () => {
  const { rootling, json, serialOf } = await openWithCertificates('issueExpired')
  await rootling(['issue', 'fresh.test'])
  const names = async (...args: string[]) =>
    ((await json(['list', ...args])).value['certificates'] as { names: string[] }[]).map(
      (one) => one.names[0],
    )
  expect(await names('--expired')).toEqual(['localhost'])
  expect(await names()).toContain('fresh.test')
  const before = serialOf('fresh.test.pem')
  const { value } = await json(['renew', '--due'])
  expect(value['renewals']).toMatchObject([
    { outcome: 'renewed', previous: { names: ['localhost'] } },
  ])
  expect(serialOf('fresh.test.pem')).toBe(before)
  expect(await names('--expired')).toEqual([])
  expect((await rootling(['renew', '--due'])).stderr).toBe('No certificate is due for renewal.\n')
})

test('--rekey makes a new key that fits; what was changed by hand is left, with exit code 1', async () => {
  const { rootling, path } = await openWithCertificates()
  await rootling(['issue', 'shop.test'])
  const before = readFileSync(path('shop.test-key.pem'), 'utf8')
  expect((await rootling(['renew', 'shop.test', '--rekey'])).exitCode).toBe(0)
  expect(readFileSync(path('shop.test-key.pem'), 'utf8')).not.toBe(before)
  writeFileSync(path('shop.test.pem'), 'mine')
  const { exitCode, stdout } = await rootling(['renew', 'shop.test'])
  expect([exitCode, stdout]).toEqual([1, expect.stringContaining('was changed by something else')])
  expect(readFileSync(path('shop.test.pem'), 'utf8')).toBe('mine')
})

test.each([[[]], [['--all', '--due']], [['shop.test', '--all']], [['nobody.test']], [['00ff']]])(
  'renew %j is refused with 2',
  async (args) => {
    const { rootling, path } = await openWithCertificates()
    const { exitCode, stdout, stderr } = await rootling(['renew', ...args])
    expect([exitCode, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(/^Error: [^\n]+\.\n {2}→ ROOTLING_HOME=\S+ rootling [^\n]+\n$/)
    expect(existsSync(path('shop.test.pem'))).toBe(false)
  },
)
