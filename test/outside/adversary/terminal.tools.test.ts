import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { command, mkcertCommand } from '../../helpers/built.ts'
import { openHome, type Home } from '../../helpers/home.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { killGroup, run, start, waitFor } from '../../helpers/subprocess.ts'
import { notInstalled } from '../e2e/client.ts'

/*
 * What others wrote may say what it likes, but it gets no say over the terminal: it moves no
 * cursor, hides and reverses nothing, and begins no line.
 */

/** ESC sequences (conceal, and bold as this program writes it), C1, overrides, zero-width, lines. */
const hostile = '\u001b[8m\u001b[1m\u009b2J\u202e\u2066\u200b\ufeff\u2028\u0085\r\nforged: x'

/** How it is shown: replaced, or as an escape within the quotes of a path. */
const shown = /\uFFFD|\$'[^\n]*\\x1b\[8m/

function expectHarmless(said: string): void {
  expect(said.trim()).not.toBe('')
  expect(said.match(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu)).toBeNull()
  expect(said).not.toMatch(/^forged/m)
}

/** Runs both forms of a line, and returns the object that the form with --json printed. */
async function expectHarmlessLine(home: Home, line: string[]): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await home.rootling(line)
  expectHarmless(stdout + stderr)
  expect(stdout + stderr).toMatch(shown)
  const json = await home.rootling([...line, '--json'])
  expectHarmless(json.stdout + json.stderr)
  return JSON.parse(json.stdout) as Record<string, unknown>
}

async function openAuthority(): Promise<Home> {
  const home = openHome()
  await home.createAuthority()
  return home
}

test('file names', async () => {
  const home = await openAuthority()
  const file = `a${hostile}.pem`
  const issued = await expectHarmlessLine(home, ['issue', 'localhost', '--cert-file', file])
  expect(issued).toMatchObject({ certificate: { certPath: join(home.directory, file) } })
  expect(existsSync(join(home.directory, file))).toBe(true)
  await expectHarmlessLine(home, ['list'])
  await expectHarmlessLine(home, ['show', `not-${file}`])
  await expectHarmlessLine(home, ['trust', `not-${file}`])
  await expectHarmlessLine(home, ['serve', '--dir', file])
  await expectHarmlessLine(home, ['issue', hostile])
  await expectHarmlessLine(home, [hostile])
  await expectHarmlessLine(home, ['list', `--${hostile}`])
})

test('--on-renew commands, and what they say', async () => {
  const home = await openAuthority()
  for (const hook of [`: '${hostile}'`, `echo '${hostile}' >&2; false`])
    await home.rootling(['issue', 'localhost', '--on-renew', hook])
  await home.rootling(['issue', 'a.localhost', '--on-renew', `: '${hostile}'`])
  const { stderr } = await home.rootling(['renew', '--all'])
  expectHarmless(stderr)
  expect(stderr).toContain("Ran: : '\uFFFD[8m\uFFFD[1m")
  expect(stderr).toMatch(/^Warning: echo .*failed with exit code 1\./m)
})

test('a line of the record whose name or path somebody edited', async () => {
  const home = await openAuthority()
  await home.rootling(['issue', 'localhost'])
  const record = join(home.directory, 'state/certificates.jsonl')
  const whole = readFileSync(record, 'utf8')
  const plant = (found: string, planted: string) => {
    expect(whole).toContain(found)
    writeFileSync(record, whole.replaceAll(found, planted))
  }
  const text = JSON.stringify(hostile).slice(1, -1)
  plant('"value":"localhost"', `"value":"localhost${text}"`)
  for (const args of [['list'], ['renew', '--all'], ['revoke', 'localhost.pem']]) {
    const { stdout, stderr } = await home.rootling(args)
    expectHarmless(stdout + stderr)
    expect(stderr).toMatch(/Lines? [-\d, ]+ of the record .* (?:is|are) damaged\./)
  }
  plant('localhost.pem"', `localhost${text}.pem"`)
  const { certificates } = await expectHarmlessLine(home, ['list'])
  expect(certificates).toContainEqual(
    expect.objectContaining({ certPath: join(home.directory, `localhost${hostile}.pem`) }),
  )
  await expectHarmlessLine(home, ['renew', '--all'])
})

test('what a certificate says', async () => {
  const home = await openAuthority()
  const subject = `O=x${hostile.replaceAll(/[\r\n]/g, '')}`
  writeFileSync(
    join(home.directory, 'c.cnf'),
    `[req]\nprompt=no\ndistinguished_name=d\n[d]\n${subject}\nCN=${subject}\n`,
  )
  const args = ['req', '-x509', '-config', 'c.cnf', '-newkey', 'rsa:2048', '-nodes', '-utf8']
  await home.run('openssl', [...args, '-keyout', 'k.pem', '-out', 'c.pem'])
  expect(await expectHarmlessLine(home, ['show', 'c.pem'])).toMatchObject({ ok: true })
})

/** Opens a server that sends hostile text, and returns its URL. */
async function openHostileServer(home: Home): Promise<string> {
  await home.rootling(['issue', 'localhost'])
  const read = (name: string) => readFileSync(join(home.directory, name))
  const server = createServer({ cert: read('localhost.pem'), key: read('localhost-key.pem') })
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined)
    socket.write(
      Buffer.from('HTTP/1.1 200 so\u001b[8m\u009bso\r\nConnection: close\r\n\r\n', 'latin1'),
    )
    socket.end('one\r\n\ttwo \u001b[8m\u202e\u200b\u2028\u0085forged: x')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as { port: number }
  return `https://localhost:${port}/`
}

test('what a server says, but for the body in a pipe, which is its own', async () => {
  const home = await openAuthority()
  const url = await openHostileServer(home)
  const { stdout, stderr } = await home.rootling(['get', url, '--verbose'])
  expectHarmless(stderr)
  expect(stderr).toContain('HTTP/1.1 200 so\uFFFD[8m\uFFFDso\n')
  expect(stdout).toBe('one\r\n\ttwo \u001b[8m\u202e\u200b\u2028\u0085forged: x')
  await expectHarmlessLine(home, ['get', url, '--compare'])
  const json = await home.rootling(['get', url, '--json'])
  expectHarmless(json.stdout + json.stderr)
})

test('the log of the daemon, also as it grows', async () => {
  const home = await openAuthority()
  const path = join(home.directory, 'state/daemon.log')
  writeFileSync(path, `${hostile.replaceAll('\n', '')}\n`)
  expect(await expectHarmlessLine(home, ['daemon', 'logs'])).toMatchObject({ path })
  const env = scrubbedEnvironment(home.directory, { ROOTLING_HOME: join(home.directory, 'state') })
  const program = start(process.execPath, [command, 'daemon', 'logs', '-f'], env)
  onTestFinished(() => killGroup(program))
  let said = ''
  program.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  await waitFor('the old lines', () => (said === '' ? null : said))
  appendFileSync(path, `later ${hostile.replaceAll('\n', '')}\n`)
  await waitFor('the new line', () => (said.includes('later') ? said : null))
  expectHarmless(said)
})

test('errors with all their details', async () => {
  const home = openHome()
  const line = ['show', hostile]
  const { stderr } = await home.rootling(line, { env: { ROOTLING_DEBUG: '1' } })
  expectHarmless(stderr)
  expect(stderr).toMatch(/^ +at /m)
})

test('hints, errors and results of rootling-mkcert', async () => {
  const home = openHome()
  const caroot = join(home.directory, hostile)
  mkdirSync(caroot)
  const mkcert = (...args: string[]) =>
    home.run('env', [
      'TRUST_STORES=none',
      'ROOTLING_DEBUG=1',
      `CAROOT=${caroot}`,
      process.execPath,
      mkcertCommand,
      ...args,
    ])
  for (const [args, wanted] of [
    [['-CAROOT'], /\uFFFD/],
    [['localhost', '-cert-file', `a${hostile}`], /The certificate is at ".*\uFFFD/],
    [['dev.example.com'], /→ ROOTLING_HOME=\$'.*\\x1b\[8m.*' rootling ca permit/],
    [[`a${hostile}.test`], /^ERROR: "a\uFFFD/m],
    [['-csr', hostile], new RegExp(`^ERROR: .*(?:${shown.source})`, 'm')],
    [[`-${hostile}`], /^flag provided but not defined: -\uFFFD/],
    [[`-client=${hostile}`], /^invalid boolean value "\uFFFD/],
  ] as const) {
    const { stdout, stderr } = await mkcert(...args)
    // The help has tabs of its own.
    const said = (stdout + stderr).replaceAll('\t', '')
    expect(said).toMatch(wanted)
    expectHarmless(said)
  }
})

const noScript = await notInstalled('script')
const note = noScript === null ? '' : ` [skipped: ${noScript}]`

test.skipIf(noScript !== null)(`what a server says, on a terminal${note}`, async () => {
  const home = await openAuthority()
  const url = await openHostileServer(home)
  const shell = `${process.execPath} ${command} get ${url} --include`
  const env = { ROOTLING_HOME: join(home.directory, 'state'), TERM: 'xterm' }
  const args = ['-qec', shell, '/dev/null']
  const { stdout } = await run('script', args, scrubbedEnvironment(home.directory, env))
  const said = stdout.replaceAll('\r\n', '\n')
  expectHarmless(said)
  expect(said).toBe(
    'HTTP/1.1 200 so\uFFFD[8m\uFFFDso\nconnection: close\n\none\n        two \uFFFD[8m\uFFFDforged: x\n',
  )
})

test.skipIf(noScript !== null)(
  `on a terminal no colours come out but those of this program${note}`,
  async () => {
    const home = await openAuthority()
    await home.rootling(['issue', 'localhost', '--cert-file', `a${hostile}.pem`])
    const shell = `${process.execPath} ${command} list`
    const env = { ROOTLING_HOME: join(home.directory, 'state'), TERM: 'xterm' }
    const args = ['-qec', shell, '/dev/null']
    const { stdout } = await run('script', args, scrubbedEnvironment(home.directory, env))
    // oxlint-disable-next-line no-control-regex -- the colours of the heading
    const heading = /\u001b\[1m([A-Z]+)\u001b\[22m/g
    expect([...stdout.matchAll(heading)].map(([, title]) => title)).toContain('FILE')
    expectHarmless(stdout.replaceAll('\r\n', '\n').replaceAll(heading, '$1'))
  },
)
