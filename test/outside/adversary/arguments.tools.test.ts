import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openHome } from '../../helpers/home.ts'
import { hasTool } from '../../helpers/tools.ts'

// Words that a shell, a tool or a terminal would read as something else than a word.

const certutil = await hasTool('certutil')
const noCertutil = certutil ? '' : ' (skipped: certutil is not installed)'
const pwned = (home: { directory: string }) => existsSync(join(home.directory, 'pwned'))

describe('a name', () => {
  const hostile = [
    '-x.localhost',
    '--out-dir=/tmp',
    '$(touch pwned).localhost',
    '`touch pwned`.localhost',
    'a;touch pwned;.localhost',
    'a|touch pwned.localhost',
    'a\nb.localhost',
    'a\u001b[31m.localhost',
    '../../pwned.localhost',
    'a/../../pwned.localhost',
    '"; touch pwned; ".localhost',
    'a&b.localhost',
    '*.*.localhost',
    '%n%s.localhost',
  ]
  test.each(hostile)('%j is refused as a name, and nothing is made', async (name) => {
    const home = openHome()
    await home.createAuthority()
    const before = readdirSync(home.directory)
    const { exitCode, value } = await home.json(['issue', '--', name])
    expect([exitCode, value['error']]).toEqual([2, expect.objectContaining({ code: 'bad-name' })])
    expect(readdirSync(home.directory)).toEqual(before)
    expect(pwned(home)).toBe(false)
  })

  test('of a mailbox or a URI leads to a file in the directory, whatever it holds', async () => {
    const home = openHome()
    await home.createAuthority()
    mkdirSync(join(home.directory, 'out'))
    const before = readdirSync(home.directory)
    for (const name of [
      'spiffe://dev.test/../../../pwned',
      "o'neil$(x)@mail.test",
      '-rf@mail.test',
    ])
      await home.rootling(['issue', '--out-dir', 'out', '--client', '--', name])
    expect(readdirSync(home.directory)).toEqual(before)
    const made = readdirSync(join(home.directory, 'out'))
    expect(made.length).toBeGreaterThanOrEqual(2)
    expect(pwned(home)).toBe(false)
  })
})

test('a directory or a file with spaces, newlines, quotes and dashes is one word everywhere', async () => {
  const home = openHome()
  await home.createAuthority()
  const directory = '-x $(touch pwned) "q" \'s\'\nnew'
  const issued = await home.json(['localhost', `--out-dir=${directory}`])
  expect(issued.exitCode).toBe(0)
  expect(existsSync(join(home.directory, directory, 'localhost-key.pem'))).toBe(true)
  expect((await home.json(['renew', '--all'])).exitCode).toBe(0)
  const shown = await home.rootling(['show', join(directory, 'localhost.pem')])
  expect(shown.exitCode).toBeLessThan(5)
  expect(pwned(home)).toBe(false)
})

test('a hint that is pasted into a shell does what it says, whatever the path is called', async () => {
  const home = openHome()
  const state = join(home.directory, "st $(touch pwned)'ate")
  const env = { ROOTLING_HOME: state }
  const rest = { env }
  mkdirSync(state, { mode: 0o777 })
  await home.run('chmod', ['777', state])
  const { stdout } = await home.rootling(['install', '--yes', '--stores', 'nss', '--json'], rest)
  const { error } = JSON.parse(stdout) as { error: { code: string; hint: string } }
  expect(error.code).toBe('loose-key')
  expect((await home.run('sh', ['-c', error.hint])).exitCode).toBe(0)
  expect(statSync(state).mode & 0o777).toBe(0o700)
  expect(pwned(home)).toBe(false)
})

test('a command after a renewal runs as it was typed, with nothing put into it', async () => {
  const home = openHome()
  await home.createAuthority()
  const directory = '$(touch pwned)'
  const hook = `printf '%s|' "$0" "$#" "\${IFS}" > ${home.directory}/said`
  const issue = ['localhost', `--out-dir=${directory}`, '--on-renew', hook]
  expect((await home.rootling(issue)).exitCode).toBe(0)
  expect((await home.rootling(['renew', '--all'], { env: { IFS: 'x' } })).exitCode).toBe(0)
  expect(readFileSync(join(home.directory, 'said'), 'utf8')).toBe('/bin/sh|0| \t\n|')
  expect(pwned(home)).toBe(false)
  expect(statSync(join(home.directory, 'state/certificates.jsonl')).mode & 0o777).toBe(0o600)
})

test('what a file says of itself moves no cursor of the terminal', async () => {
  const home = openHome()
  await home.createAuthority()
  const config = '[req]\nprompt=no\ndistinguished_name=d\n[d]\nO=\u001b]0;owned\u0007\u001b[2Jx\n'
  writeFileSync(join(home.directory, 'c.cnf'), config)
  const args = ['req', '-x509', '-config', 'c.cnf', '-newkey', 'rsa:2048', '-nodes', '-utf8']
  const made = await home.run('openssl', [...args, '-keyout', 'k.pem', '-out', 'evil\u001b[2J.pem'])
  expect(made.exitCode).toBe(0)
  const file = 'evil\u001b[2J.pem'
  for (const line of [
    ['show', file],
    ['show', `${file}x`],
    ['trust', file, '--dry-run'],
    ['issue', '--csr', file],
    ['renew', file],
    ['revoke', file],
  ]) {
    const { stdout, stderr } = await home.rootling(line)
    expect(stdout + stderr).not.toBe('')
    // oxlint-disable-next-line no-control-regex -- these are what must not come out
    expect((stdout + stderr).match(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g)).toBeNull()
  }
})

test.skipIf(!certutil)(
  `a nickname that begins with a dash is a nickname${noCertutil}`,
  async () => {
    const home = openHome()
    await home.createAuthority()
    const database = join(home.directory, '.pki/nssdb')
    mkdirSync(database, { recursive: true })
    await home.run('certutil', ['-N', '-d', `sql:${database}`, '--empty-password'])
    writeFileSync(join(home.directory, 'pw'), 'secret\n')
    await home.rootling(['issue', '--client', 'al@mail.test', '--pkcs12', '--password-file', 'pw'])
    const name = '-D $(touch pwned); "x"'
    const install = [
      'install-client',
      'al@mail.test-client.p12',
      '--password-file',
      'pw',
      `--name=${name}`,
    ]
    const installed = await home.rootling(install)
    expect(`${installed.exitCode} ${installed.stderr}`).toMatch(/^0 /)
    const listed = await home.run('certutil', ['-L', '-d', `sql:${database}`])
    expect(listed.stdout).toContain(name)
    const removed = await home.rootling(['install-client', '--remove', 'al@mail.test-client.pem'])
    expect(`${removed.exitCode} ${removed.stderr}`).toMatch(/^0 /)
    expect((await home.run('certutil', ['-L', '-d', `sql:${database}`])).stdout).not.toContain(name)
    expect(pwned(home)).toBe(false)
  },
)
