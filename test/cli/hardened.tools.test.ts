import { expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { openHome, type Home } from '../helpers/home.ts'

/** A home with a hardened authority, which no store trusts. */
async function hardenedHome(): Promise<{ home: Home; directory: string }> {
  const home = openHome()
  const state = { path: `${home.directory}/state`, owner: null }
  await ensureAuthority(state, new Date(), true)
  return { home, directory: `${state.path}/scopes/local` }
}

test('ca path prints the root and says what for; with --openssl the copies', async () => {
  const { home, directory } = await hardenedHome()
  const plain = await home.rootling(['ca', 'path', 'local'])
  expect(plain.stdout).toBe(`${directory}/root.pem\n`)
  expect(plain.stderr).toMatch(/rootling\S* ca path --openssl/)
  const copies = await home.rootling(['ca', 'path', 'local', '--openssl'])
  expect(copies).toMatchObject({ stdout: `${directory}/root-openssl.pem\n`, stderr: '' })
  const { value } = await home.json(['ca', 'path', 'local', '--openssl'])
  expect(value).toMatchObject({ path: copies.stdout.trim(), scope: { hardened: true } })
})

test('ca path --openssl of an ordinary scope is the root', async () => {
  const home = openHome()
  const root = await home.createAuthority()
  const { stdout, stderr } = await home.rootling(['ca', 'path', 'local', '--openssl'])
  expect([stdout, stderr]).toEqual([`${root}\n`, ''])
  const { value } = await home.json(['ca', 'path'])
  expect(value).toMatchObject({ scope: { hardened: false } })
})

test('ca export gives others the root, and says what it does not do', async () => {
  const { home } = await hardenedHome()
  const { stdout, stderr } = await home.rootling(['ca', 'export'])
  expect(stdout.match(/BEGIN CERTIFICATE/g)).toHaveLength(1)
  expect(stderr).toMatch(/ca path --openssl/)
})

test('a client trusts what the authority issues, by get and by certificateFor', async () => {
  const { home, directory } = await hardenedHome()
  const { url } = await home.serve()
  const got = await home.rootling(['get', url, '--verbose'])
  expect(got).toMatchObject({ exitCode: 0 })
  const byFile = await home.run('curl', ['-sS', '--cacert', `${directory}/root-openssl.pem`, url])
  expect(byFile).toMatchObject({ exitCode: 0, stderr: '' })
  const shown = await home.rootling(['show', new URL(url).host])
  expect(shown.stdout).toMatch(/our root\s+local\s+\(\w{8}:\w{8}\)/)
  expect(shown.stdout).not.toMatch(/Refused by every client/)
})

test('--harden and --no-harden exclude each other', async () => {
  const { home } = await hardenedHome()
  const { exitCode, stderr } = await home.rootling(['ca', 'rotate', '--harden', '--no-harden'])
  expect([exitCode, stderr]).toEqual([2, expect.stringMatching(/exclude each other/)])
})

test('a file is issued again over its older one, and renewed', async () => {
  const { home } = await hardenedHome()
  for (const args of [['localhost'], ['localhost'], ['renew', '--all']])
    expect(await home.rootling(args)).toMatchObject({ exitCode: 0 })
  const { value } = await home.json(['list'])
  expect(value).toMatchObject({ certificates: [{ names: ['localhost'], scope: 'local' }] })
})
