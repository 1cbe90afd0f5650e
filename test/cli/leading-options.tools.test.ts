import { expect, test } from 'vitest'
import { openHome } from '../helpers/home.ts'

test.each([
  [['--quiet', 'localhost'], 'localhost.pem'],
  [['-q', 'localhost'], 'localhost.pem'],
  [['--out-dir', 'sub', 'localhost'], 'sub/localhost.pem'],
  [['--client', 'alice'], 'alice-client.pem'],
  [['-q', 'issue', 'localhost'], 'localhost.pem'],
])('rootling %j issues, though an option comes first', async (args, file) => {
  const home = openHome()
  await home.createAuthority()
  expect(await home.rootling(args)).toMatchObject({
    exitCode: 0,
    stdout: expect.stringContaining(file),
  })
})

test('an option before a command counts as after it', async () => {
  const home = openHome()
  await home.createAuthority()
  const { exitCode, stdout } = await home.rootling(['--json', 'ca', 'list'])
  expect([exitCode, JSON.parse(stdout)]).toMatchObject([0, { scopes: [{ name: 'local' }] }])
  const other = await home.rootling(['--ca', 'other', 'list', '--json'])
  expect(JSON.parse(other.stdout)).toMatchObject({ ok: true, certificates: [] })
})

test.each([['--quiet'], ['-q']])('%s alone prints the help', async (option) => {
  const { exitCode, stdout } = await openHome().rootling([option])
  expect([exitCode, stdout]).toEqual([0, expect.stringContaining('rootling install')])
})

test('a revocation by a .p12 file names what to give instead, and the list of its scope', async () => {
  const home = openHome()
  await home.createAuthority()
  await home.rootling(['issue', '--client', 'alice', '--pkcs12'])
  const wrong = await home.rootling(['revoke', 'alice-client.p12'])
  expect(wrong).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining('Name the .pem file'),
  })
  const { stderr } = await home.rootling(['revoke', 'alice-client.pem'])
  expect(stderr).toContain('crl --scope clients')
})

test.each([
  [['help', 'issue'], 'rootling issue NAME… [options]'],
  [['help', 'ca'], 'rootling ca COMMAND'],
  [['ca'], 'rootling ca COMMAND'],
  [['-q', 'daemon'], 'rootling daemon COMMAND'],
  [['completion', '--help'], 'rootling completion [bash|zsh|fish|powershell]'],
  [['help', 'completion'], 'rootling completion [bash|zsh|fish|powershell]'],
  [['version'], '0.'],
  [['completion', 'zsh'], '#compdef rootling'],
  [['completion', 'bash'], 'complete -F _rootling rootling'],
  [['completion', 'fish'], 'complete -c rootling -f'],
])('rootling %j prints what was asked for', async (args, beginning) => {
  for (const SHELL of ['/bin/bash', '/bin/zsh']) {
    const { exitCode, stdout, stderr } = await openHome().rootling(args, { env: { SHELL } })
    expect([exitCode, stdout, stderr]).toEqual([0, expect.stringContaining(beginning), ''])
  }
})

test.each([[['']], [['--json', 'zebra']], [['help', 'zebra']], [['-q', '']], [['--', '']]])(
  'rootling %j does nothing, and says so',
  async (args) => {
    const { exitCode, stderr } = await openHome().rootling(args)
    expect([exitCode, stderr]).toEqual([2, expect.stringMatching(/^Error: /)])
  },
)

test.each([
  [['ca', '--json'], 'rootling ca needs a command.', 'rootling ca --help'],
  [['--json', 'daemon'], 'rootling daemon needs a command.', 'rootling daemon --help'],
  [['--json'], 'No command was given.', 'rootling --help'],
])('rootling %j is an error that a program can read', async (args, message, hint) => {
  const { exitCode, stdout } = await openHome().rootling(args)
  expect([exitCode, JSON.parse(stdout)]).toMatchObject([
    2,
    { ok: false, error: { code: 'usage', message, hint: expect.stringContaining(hint) } },
  ])
})

test('-q counts among other letters too', async () => {
  const home = openHome()
  await home.createAuthority()
  const { url } = await home.serve()
  const { exitCode, stderr } = await home.rootling(['get', '-vq', url])
  expect([exitCode, stderr]).toEqual([0, ''])
})
