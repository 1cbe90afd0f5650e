import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openHome } from '../helpers/home.ts'

const untrusted =
  /^Warning: No trust store trusts its root yet, so browsers refuse the certificate\. To trust it: ROOTLING_HOME=\S+ rootling install$/m

test('the first certificate creates the authority, and says that no store trusts it', async () => {
  const { rootling, directory } = openHome()
  const first = await rootling(['localhost'])
  expect(first.exitCode).toBe(0)
  expect(first.stderr).toContain('Created the certificate authority in ~/state.\n')
  expect(first.stderr).toMatch(untrusted)
  expect(existsSync(join(directory, 'localhost.pem'))).toBe(true)
  const second = await rootling(['b.test'])
  expect(second.stderr).not.toContain('Created')
  expect(second.stderr).toMatch(untrusted)
})

test('--json has the same in its warnings', async () => {
  const { json } = openHome()
  const { exitCode, value } = await json(['localhost'])
  expect(exitCode).toBe(0)
  expect(value['warnings']).toEqual([
    expect.stringMatching(/^No trust store trusts its root yet.* rootling install$/),
  ])
})

test('a client and a self-signed certificate come with no such warning', async () => {
  const { json, directory } = openHome()
  const alone = await json(['--self-signed', 'localhost'])
  expect(alone.exitCode).toBe(0)
  expect(existsSync(join(directory, 'state', 'scopes'))).toBe(false)
  const { exitCode, value } = await json(['--client', 'alice@example.test'])
  expect([exitCode, value['warnings']]).toEqual([0, []])
})

test('names that the first authority cannot sign create none', async () => {
  const { rootling, directory } = openHome()
  const { exitCode, stderr } = await rootling(['localhost', 'www.example.com'])
  expect(exitCode).toBe(1)
  expect(stderr).toContain('www.example.com is outside the names')
  expect(existsSync(join(directory, 'state', 'scopes'))).toBe(false)
})
