import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openHome } from '../helpers/home.ts'

async function openWithAuthority() {
  const home = openHome()
  await home.createAuthority()
  const prefix = `ROOTLING_HOME=${join(home.directory, 'state')} `
  return {
    ...home,
    path: (name: string) => join(home.directory, name),
    /** Issues, and returns the warnings without ROOTLING_HOME in their commands. */
    async issue(...args: string[]): Promise<string[]> {
      const { exitCode, value } = await home.json(['issue', ...args])
      expect(exitCode).toBe(0)
      return (value['warnings'] as string[]).map((text) => text.replaceAll(prefix, ''))
    },
  }
}

test('what a second issue drops is named, with the command that keeps it', async () => {
  const { issue } = await openWithAuthority()
  const options = ['--days', '90', '--on-renew', 'nginx -s reload', '--hook-timeout', '300']
  const key = ['--key-type', 'rsa2048', '--key-mode', '0640', '--no-revocation-url']
  expect(await issue('shop.test', ...options, ...key)).toEqual([])
  expect(await issue('shop.test', ...options, ...key)).toEqual([])
  const all =
    "--days 90 --no-revocation-url --on-renew 'nginx -s reload' --hook-timeout 300 --key-type rsa2048 --key-mode 0640"
  const had = all.replaceAll(' --', ', --')
  expect(await issue('shop.test')).toEqual([
    `The certificate before had ${had}; this one has not. To keep them: rootling issue shop.test ${all}`,
  ])
  // The certificate that is now on record had none of them.
  expect(await issue('shop.test')).toEqual([])
})

test('only what was not given again is named, and a forgotten certificate had nothing', async () => {
  const { issue, rootling, path } = await openWithAuthority()
  const files = ['--cert-file', 'tls.crt', '--key-file', 'tls.key']
  await issue('shop.test', ...files, '--on-renew', 'true', '--days', '90')
  expect(await issue('shop.test', ...files, '--days', '30')).toEqual([
    'The certificate before had --on-renew true; this one has not. To keep it: rootling issue shop.test --days 30 --cert-file tls.crt --key-file tls.key --on-renew true',
  ])
  for (const name of ['tls.crt', 'tls.key']) rmSync(path(name))
  expect((await rootling(['forget', '--all'])).exitCode).toBe(0)
  expect(await issue('shop.test', ...files)).toEqual([])
})

test.skipIf(process.geteuid?.() !== 0)('a group that may read the key is named', async () => {
  const { issue } = await openWithAuthority()
  await issue('shop.test', '--group', '1')
  expect(await issue('shop.test', '--days', '30')).toEqual([
    'The certificate before had --group 1; this one has not. To keep it: rootling issue shop.test --days 30 --group 1',
  ])
})

test('a key that was encrypted and is not any more is a warning', async () => {
  const { issue } = await openWithAuthority()
  await issue('shop.test', '--encrypt-key', '--pkcs12', '--legacy-pkcs12', '--password', 'secret')
  const said = await issue('shop.test', '--pkcs12', '--password', 'secret')
  expect(said).toEqual([
    'The certificate before had --encrypt-key, --legacy-pkcs12; this one has not. To keep them: rootling issue shop.test --pkcs12 --encrypt-key --legacy-pkcs12',
  ])
})

test('files that keep the old certificate are each named, and those that are gone are not', async () => {
  const { issue, path } = await openWithAuthority()
  await issue('shop.test', '--pkcs12', '--full', '--der', '--chain-file', 'issuers.pem')
  rmSync(path('shop.test.der'))
  const before = readFileSync(path('shop.test.p12'))
  const again = 'To write it anew: rootling issue shop.test'
  expect(await issue('shop.test')).toEqual([
    `${path('issuers.pem')} still holds the old certificate. ${again} --chain-file ${path('issuers.pem')}`,
    `${path('shop.test-full.pem')} still holds the old certificate. ${again} --full`,
    `${path('shop.test.p12')} still holds the old certificate. ${again} --pkcs12`,
  ])
  expect(readFileSync(path('shop.test.p12'))).toEqual(before)
})

test('an old key beside a certificate with a new one is named', async () => {
  const { issue, path } = await openWithAuthority()
  await issue('shop.test')
  expect(await issue('shop.test', '--key-file', 'other.key')).toEqual([
    `${path('shop.test-key.pem')} still holds the old key. To write it anew: rootling issue shop.test --key-file ${path('shop.test-key.pem')}`,
  ])
  expect(existsSync(path('other.key'))).toBe(true)
})

test('a certificate for other names in the same file is not called replaced', async () => {
  const { rootling, path } = await openWithAuthority()
  await rootling(['issue', 'localhost', '127.0.0.1', 'foo.localhost'])
  const { stderr } = await rootling(['issue', 'localhost', '::1', 'bar.localhost'])
  expect(stderr).toContain('Issued for localhost, ::1, bar.localhost, good until')
  expect(stderr).toContain(
    `Warning: It replaces the certificate for localhost, 127.0.0.1, foo.localhost in ${path('localhost+2.pem')}. To have both: `,
  )
  expect(stderr).toContain('rootling issue localhost 127.0.0.1 foo.localhost --out-dir DIR\n')
  const same = await rootling(['issue', 'localhost', 'bar.localhost', '::1'])
  expect(same.stderr).toContain('Replaced the certificate for localhost, bar.localhost, ::1')
  expect(same.stderr).not.toContain('Warning')
})

test('a record that is damaged keeps nobody from a new certificate', async () => {
  const { issue, path, rootling } = await openWithAuthority()
  await issue('shop.test', '--on-renew', 'true')
  const record = path('state/certificates.jsonl')
  writeFileSync(record, `damaged\n${readFileSync(record, 'utf8')}`)
  expect((await rootling(['issue', 'shop.test', '--on-renew', 'true'])).exitCode).toBe(0)
})
