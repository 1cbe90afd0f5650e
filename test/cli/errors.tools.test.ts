import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'

// Every refusal is one sentence and a hint on stderr, nothing on stdout, and an exit code; and
// nothing was made on the way.

// A hint of `null`: nobody can tell what was meant.
const refusals: readonly (readonly [string[], number, string, string | null])[] = [
  [
    ['instal'],
    2,
    'There is no command rootling instal.',
    'Did you mean this: HOME rootling install',
  ],
  [
    ['ca', 'permitt'],
    2,
    'There is no command rootling ca permitt.',
    'Did you mean this: HOME rootling ca permit',
  ],
  [['zebra'], 2, 'There is no command rootling zebra.', 'rootling issue zebra'],
  [['issue', 'a.test', '--dayz', '3'], 2, 'no option --dayz. Did you mean --days?', '--help'],
  [['list', '--nonsense'], 2, 'There is no option --nonsense.', '--help'],
  [['request', 'a.test', '--out-dir', 'x'], 2, 'There is no option --out-dir.\n', '--help'],
  [
    ['request'],
    2,
    'Name at least one host or address.',
    'rootling request localhost 127.0.0.1 ::1',
  ],
  [['a.test', '--outdir', 'x'], 2, 'no option --outdir. Did you mean --out-dir?', '--help'],
  [['issue', 'localhost', '--days'], 2, '--days needs a value.', '--help'],
  [['issue', 'localhost', '--days', 'ten'], 2, '--days ten is not a whole number.', '--help'],
  [['issue', 'localhost', '--days', '900'], 2, '900 is not between 1 and 825', '--days 397'],
  [['issue', 'localhost', '--days=0'], 2, '--days 0 is not between 1 and 825', '--days 397'],
  [['issue', 'localhost', '--days=1', '--days=2'], 2, '--days was given twice.', '--help'],
  [['issue', 'localhost', '--key-type', 'dsa'], 2, '--key-type dsa is not one of p256', '--help'],
  [['issue', 'a..b'], 2, 'a..b has two dots in a row', 'Did you mean a.b?'],
  [['issue', 'localhost:8443'], 2, 'localhost:8443 has a port', 'Did you mean localhost?'],
  [['issue', 'https://x.test'], 2, 'https://x.test is a URL', 'Did you mean x.test?'],
  [['issue', '*.*.test'], 2, '*.*.test', ''],
  [['issue', 'foo*.test'], 2, 'foo*.test', ''],
  [['issue', `${'a'.repeat(64)}.test`], 2, '63', null],
  [['issue', ''], 2, 'empty', ''],
  [['issue'], 2, 'Name at least one host or address.', 'rootling issue localhost'],
  [['issue', 'localhost', '--stdout', '--out-dir=x'], 2, '--stdout writes no files', 'Leave out'],
  [['a.test', '--scope=x'], 1, 'There is no certificate authority yet.', 'rootling install'],
  [['issue', 'www.example.com'], 1, 'www.example.com is outside', 'rootling ca permit'],
  [['uninstall', '--stores=none'], 2, 'no kind of store "none"', 'system,nss,java'],
  [['ca', 'rotate', '--stores', 'none'], 2, 'no kind of store "none"', 'system,nss,java'],
  [['status'], 1, 'There is no certificate authority yet.', 'rootling install'],
  [['list', 'extra'], 2, 'rootling list takes no argument, such as extra.', 'list --help'],
  [['get'], 2, 'rootling get takes one URL, not 0.', 'rootling get --help'],
  [['get', 'https://localhost', '--client-cert=a'], 2, 'go together', 'rootling get URL'],
  [['install', '--stores', 'bogus'], 2, 'no kind of store "bogus"', 'system,nss,java'],
  [['install', '--name', 'x'], 2, '--name and --force go with --permit.', '--permit'],
  [['serve', '--port', '70000'], 2, '--port 70000 is not between 0 and 65535.', '--port 8443'],
  [['serve', '--host', 'nowhere.test'], 2, 'is not an IP address.', '--host 127.0.0.1'],
  [['serve', '--dir', 'absent'], 2, '--dir absent is not a directory.', 'directory'],
  [['serve', '--cert', 'a.pem'], 2, '--cert-file and --key-file go together.', '--key-file'],
  [['serve', '--cert=a.pem', '--key=b.pem'], 1, 'There is no file', 'Check the path'],
  [
    ['show', 'nothing.test'],
    2,
    'nothing.test, and no certificate on record has that name.',
    'list',
  ],
  [
    ['install-client', 'nobody@example.test'],
    2,
    'nobody@example.test, and no client certificate on record has that name.',
    'rootling list',
  ],
  [['ca', 'forget', 'work', '--yes'], 2, 'There is no scope named work.', 'rootling ca list'],
]

test.for(refusals)('rootling %j exits with %i and a hint', async ([args, code, words, hint]) => {
  const { rootling, directory } = openHome()
  const { exitCode, stdout, stderr } = await rootling(args)
  expect(stderr).toContain(words)
  const home = `ROOTLING_HOME=${join(directory, 'state')}`
  const [sentence, ...hints] = stderr.split('\n  → ')
  expect(sentence).toMatch(/^Error: [^\n]+[.?]\n?$/)
  expect(hints).toEqual(hint === null ? [] : [expect.stringContaining(hint.replace('HOME', home))])
  expect(stderr).not.toMatch(/^\s+at |node:internal|file:\/\//m)
  expect(stdout).toBe('')
  expect(exitCode).toBe(code)
  expect(existsSync(join(directory, 'state'))).toBe(false)
})

const some = [...refusals.slice(0, 4), ...refusals.filter(([, code]) => code === 1)]

test.for(some)('rootling %j --json prints the same as one object', async ([args, code, words]) => {
  const { json } = openHome()
  const { exitCode, value } = await json(args)
  expect(Object.keys(value)).toEqual(['ok', 'error', 'warnings'])
  expect(value).toMatchObject({ ok: false, warnings: [] })
  expect(Object.keys(value['error'] as object)).toEqual(['code', 'message', 'hint'])
  expect(value['error']).toMatchObject({ message: expect.stringContaining(words) })
  expect(exitCode).toBe(code)
})

test('in a directory that was deleted, only what names files there is refused', async () => {
  const { run, createAuthority, directory } = openHome()
  await createAuthority()
  const inDeleted = (line: string) =>
    run('sh', [
      '-c',
      `mkdir -p ${directory}/gone && cd ${directory}/gone && rmdir ../gone && exec ${process.execPath} ${command} ${line}`,
    ])
  for (const line of ['list', 'ca path', 'help ca'])
    expect(await inDeleted(line), line).toMatchObject({ exitCode: 0, stderr: '' })
  expect(await inDeleted('issue localhost')).toEqual({
    exitCode: 1,
    stdout: '',
    stderr: 'Error: The current directory was deleted.\n  → cd to a directory that exists\n',
  })
})

test('a bare host is first proposed below localhost, and a client has any name', async () => {
  const { rootling, json, createAuthority } = openHome()
  await createAuthority()
  const { exitCode, stderr } = await rootling(['issue', 'myapp'])
  expect([exitCode, stderr]).toEqual([
    1,
    expect.stringMatching(
      /→ Use myapp\.localhost, which needs no permission\. myapp has no dot, so it counts as a top-level domain; .*: ROOTLING_HOME=\S+ rootling ca permit myapp --force\n$/,
    ),
  ])
  const dotted = await rootling(['issue', 'app.example.com'])
  expect(dotted.stderr).toMatch(/→ ROOTLING_HOME=\S+ rootling ca permit app\.example\.com\n$/)
  const client = await rootling(['issue', '--client', 'bob'])
  expect(client).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('Issued for bob') })
  // A user is no host, so the certificate names bob in its subject alone.
  const { value } = await json(['issue', '--client', 'bob', '--if-needed'])
  expect(value).toMatchObject({
    issued: false,
    certificate: { subject: 'CN=bob', identifiers: [], names: [] },
  })
})
