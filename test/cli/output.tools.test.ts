import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run } from '../helpers/subprocess.ts'
import { notInstalled } from '../outside/e2e/client.ts'
import { exitCodes } from '../../src/cli/command.ts'
import { command, project } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'

const noScript = await notInstalled('script')
const ptyNote = noScript === null ? '' : ` [skipped: ${noScript}]`
// oxlint-disable-next-line no-control-regex -- the escape that begins a colour
const colour = /\u001B\[\d+m/

/** stdout and stderr as one, of a command on a terminal. */
async function onTerminal(home: string, line: string, env: Record<string, string>) {
  const shell = `${process.execPath} ${command} ${line}`
  const environment = scrubbedEnvironment(home, { ROOTLING_HOME: join(home, 'state'), ...env })
  const { stdout } = await run('script', ['-qec', shell, '/dev/null'], environment)
  return stdout
}

test('the help fits a screen, opens with examples and names every command', async () => {
  const { rootling } = openHome()
  const { exitCode, stdout, stderr } = await rootling(['--help'])
  expect(exitCode).toBe(0)
  expect(stderr).toBe('')
  const lines = stdout.trimEnd().split('\n')
  expect(lines.length).toBeGreaterThanOrEqual(24)
  expect(lines.length).toBeLessThanOrEqual(53)
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80)
  expect(stdout.indexOf('rootling install')).toBeLessThan(stdout.indexOf('Commands:'))
  for (const name of ['install', 'issue', 'status', 'list', 'serve', 'get', 'uninstall', 'ca'])
    expect(stdout).toMatch(new RegExp(`^ {2}rootling ${name} `, 'm'))
  expect((await rootling([])).stdout).toBe(stdout)
})

test('the help names the exit codes in the words of the README, and every code', async () => {
  const { rootling } = openHome()
  const codesIn = (text: string) => /Exit codes: .*? approval\./.exec(text.replaceAll('`', ''))?.[0]
  const { stdout } = await rootling(['--help'])
  const told = codesIn(stdout.replaceAll(/\s+/g, ' '))
  expect(told).toBe(codesIn(readFileSync(join(project, 'README.md'), 'utf8')))
  for (const code of Object.values(exitCodes)) expect(told).toContain(` ${code} `)
})

test('the help of up says that --yes approves nothing', async () => {
  const { rootling } = openHome()
  const { stdout } = await rootling(['up', '--help'])
  expect(stdout.replaceAll(/\s+/g, ' ')).toContain('agree to everything but what needs --allow')
})

test('the help of a command shows its usage, options and examples', async () => {
  const { rootling } = openHome()
  const { exitCode, stdout } = await rootling(['issue', '--help'])
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/^rootling issue NAME… \[options\]/)
  expect(stdout).toContain('--key-type')
  expect(stdout).toContain('rootling issue localhost 127.0.0.1 ::1')
})

test('the version is that of the package', async () => {
  const { rootling } = openHome()
  const { version } = JSON.parse(readFileSync(join(command, '../../../package.json'), 'utf8'))
  for (const flag of ['--version', '-V'])
    expect(await rootling([flag])).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' })
})

test('results go to stdout, notes to stderr, and --quiet keeps the results', async () => {
  const { rootling, createAuthority, directory } = openHome()
  await createAuthority()
  const loud = await rootling(['issue', 'localhost'])
  expect(loud.stdout).toMatch(/^Certificate: ~\/localhost\.pem\nKey: {9}~\/localhost-key\.pem\n$/)
  expect(loud.stderr).toMatch(
    /^Issued for localhost, good until \d{4}-\d\d-\d\d \d\d:\d\d UTC \(in \d+ days\)\.\n$/,
  )
  const quiet = await rootling(['issue', 'localhost', '--quiet'])
  // Scripts read it with --quiet, so the paths are whole.
  const stdout = loud.stdout.replaceAll('~/', `${directory}/`)
  expect(quiet).toEqual({ exitCode: 0, stdout, stderr: '' })
  // A warning is no note: it stays.
  const warned = await rootling(['issue', '*.test', '--quiet'])
  expect(warned.stderr).toMatch(/^Warning: Browsers refuse \*\.test/)
  const failed = await rootling(['issue', 'bank.example.com', '--quiet'])
  expect(failed).toMatchObject({ exitCode: 1, stdout: '' })
  expect(failed.stderr).toContain('rootling ca permit bank.example.com')
})

test('names alone are issued for, as people know it from mkcert', async () => {
  const { rootling, createAuthority, directory } = openHome()
  await createAuthority()
  const { exitCode, stdout } = await rootling(['app.localhost', '127.0.0.1', '::1'])
  expect(exitCode).toBe(0)
  expect(stdout).toContain('app.localhost+2.pem')
  expect(statSync(join(directory, 'app.localhost+2-key.pem')).mode & 0o777).toBe(0o600)
  expect(statSync(join(directory, 'app.localhost+2.pem')).mode & 0o777).toBe(0o644)
})

test('--stdout prints leaf, intermediate and key, and writes no file', async () => {
  const { rootling, createAuthority, directory } = openHome()
  await createAuthority()
  const { exitCode, stdout, stderr } = await rootling(['issue', 'localhost', '--stdout'])
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
  expect(stdout.match(/-----BEGIN [A-Z ]+-----/g)).toEqual([
    '-----BEGIN CERTIFICATE-----',
    '-----BEGIN CERTIFICATE-----',
    '-----BEGIN PRIVATE KEY-----',
  ])
  expect(existsSync(join(directory, 'localhost.pem'))).toBe(false)
})

test('a file of somebody else is not replaced, until --force says so', async () => {
  const { rootling, createAuthority, directory } = openHome()
  await createAuthority()
  const file = join(directory, 'localhost.pem')
  await rootling(['issue', 'a.localhost', `--key-file=${file}`, '--cert-file=other.pem'])
  const before = readFileSync(file, 'utf8')
  const refused = await rootling(['issue', 'localhost'])
  expect(refused).toMatchObject({ exitCode: 1, stdout: '' })
  expect(refused.stderr).toMatch(/localhost\.pem[^]*--force/)
  expect(readFileSync(file, 'utf8')).toBe(before)
  expect((await rootling(['issue', 'localhost', '--force'])).exitCode).toBe(0)
  expect(readFileSync(file, 'utf8')).toContain('BEGIN CERTIFICATE')
})

test.skipIf(noScript !== null)(
  `colours are for terminals, and never with NO_COLOR${ptyNote}`,
  async () => {
    const { rootling, directory } = openHome()
    const wrong = 'issue a..b'
    expect(await onTerminal(directory, wrong, { TERM: 'xterm' })).toMatch(colour)
    expect(await onTerminal(directory, wrong, { TERM: 'xterm', NO_COLOR: '1' })).not.toMatch(colour)
    expect(await onTerminal(directory, wrong, { TERM: 'dumb' })).not.toMatch(colour)
    expect((await rootling(['issue', 'a..b'], { env: { TERM: 'xterm' } })).stderr).not.toMatch(
      colour,
    )
  },
)

test.skipIf(noScript !== null)(
  `a question on a terminal takes Enter for no, and exits with 5${ptyNote}`,
  async () => {
    const { directory, createAuthority } = openHome()
    await createAuthority()
    const shell = `${process.execPath} ${command} ca forget local --stores java`
    const environment = scrubbedEnvironment(directory, { ROOTLING_HOME: join(directory, 'state') })
    const script = ['-qec', shell, '/dev/null']
    const { exitCode, stdout } = await run('script', script, environment, { input: '\n' })
    expect(stdout).toContain('[y/N]')
    expect(exitCode).toBe(5)
    expect(existsSync(join(directory, 'state/scopes/local/root.pem'))).toBe(true)
  },
)
