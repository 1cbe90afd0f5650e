import { chmodSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { start, waitFor } from '../helpers/subprocess.ts'

async function open() {
  const home = openHome()
  await home.createAuthority()
  const script = (name: string, text: string, mode = 0o755) => {
    const path = join(home.directory, name)
    writeFileSync(path, text)
    chmodSync(path, mode)
    return path
  }
  const env = scrubbedEnvironment(home.directory, { ROOTLING_HOME: join(home.directory, 'state') })
  return { ...home, script, env }
}

test('the words behind the command are its own, also those that look like options', async () => {
  const { rootling } = await open()
  const print = ['-e', 'console.log(JSON.stringify(process.argv.slice(1)))', '--']
  const words = ['--json', '--help', '-q', '--', '--ca', 'x', 'a b', '', '$HOME', '*']
  for (const before of [['run'], ['run', '--'], ['-q', 'run'], ['run', '-q']]) {
    const { exitCode, stdout, stderr } = await rootling([
      ...before,
      process.execPath,
      ...print,
      ...words,
    ])
    expect([exitCode, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toEqual(words)
  }
})

test('the command has the standard streams, the directory and the environment', async () => {
  const { rootling, directory, env } = await open()
  const script = 'cat; echo "$PWD"; echo problem >&2; echo "$XDG_DATA_HOME" "$HOME"; env'
  const { stdout, stderr } = await rootling(['run', 'sh', '-c', script], {
    input: 'typed\n',
    env: { XDG_DATA_HOME: 'relative', OTHER: 'kept' },
  })
  expect(stderr).toBe('problem\n')
  expect(stdout).toContain(`typed\n${directory}\nrelative ${directory}\n`)
  for (const name of Object.keys(env)) expect(stdout).toContain(`\n${name}=${env[name]}\n`)
  expect(stdout).toContain('\nOTHER=kept\n')
  expect(stdout).toContain(`\nNODE_EXTRA_CA_CERTS=${directory}/state/bundles/roots.pem\n`)
})

test.each([0, 1, 2, 42, 255])('exit code %i is passed on', async (code) => {
  const { rootling } = await open()
  expect((await rootling(['run', 'sh', '-c', `exit ${code}`])).exitCode).toBe(code)
})

describe('a command that cannot be started', () => {
  test('is not there: 127', async () => {
    const { rootling } = await open()
    const { exitCode, stdout, stderr } = await rootling(['run', 'no-such-program'])
    expect([exitCode, stdout]).toEqual([127, ''])
    expect(stderr).toMatch(/^Error: There is no program no-such-program in PATH\.\n {2}→ /)
    const whole = await rootling(['run', '--', 'npm test'])
    expect(whole.exitCode).toBe(127)
    expect(whole.stderr).toContain('Write it as several words: ')
  })
  test('is no program: 126', async () => {
    const { rootling, script, directory } = await open()
    for (const path of [script('plain', '#!/bin/sh\n', 0o644), directory]) {
      const { exitCode, stderr } = await rootling(['run', path])
      expect(exitCode).toBe(126)
      expect(stderr).toMatch(new RegExp(`^Error: ${path} cannot be run: .*\n {2}→ `))
    }
  })
  test('needs a program that is not there: 127, and that one is named', async () => {
    const { rootling, script } = await open()
    const path = script('script', '#!/no/interpreter\n')
    const { exitCode, stderr } = await rootling(['run', path])
    expect(exitCode).toBe(127)
    expect(stderr).toContain('/no/interpreter, which its first line names, is not.')
  })
  test('was not given: 2', async () => {
    const { rootling } = await open()
    for (const line of [['run'], ['run', '--'], ['run', ''], ['run', '--bogus', 'true']]) {
      const { exitCode, stdout, stderr } = await rootling(line)
      expect([exitCode, stdout]).toEqual([2, ''])
      expect(stderr).toMatch(/^Error: .*\n {2}→ /)
    }
  })
})

test('without an authority nothing is run and none is made', async () => {
  const { rootling, directory } = openHome()
  const { exitCode, stdout, stderr } = await rootling(['run', 'echo', 'ran'])
  expect([exitCode, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^Error: There is no certificate authority yet\.\n.* rootling install\n$/)
  expect(existsSync(join(directory, 'state/scopes'))).toBe(false)
})

test('a command that a signal ended ends rootling by the same, as a shell sees it', async () => {
  const { rootling, run } = await open()
  for (const [signal, code] of [
    ['TERM', 143],
    ['INT', 130],
    ['HUP', 129],
    ['KILL', 137],
  ] as const) {
    // The exit code is null where a signal ended the process.
    expect((await rootling(['run', 'sh', '-c', `kill -${signal} $$`])).exitCode).toBe(null)
    const line = `'${process.execPath}' '${command}' run sh -c 'kill -${signal} $$'; echo $?`
    expect((await run('sh', ['-c', line])).stdout).toBe(`${code}\n`)
  }
  // These would leave a core dump of this process.
  const { exitCode } = await rootling(['run', 'sh', '-c', 'ulimit -c 0; kill -SEGV $$'])
  expect(exitCode).toBe(139)
})

/** Says when it is ready, and which signals it gets; ends half a second after the first. */
const listener = `
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'])
  process.on(name, () => {
    console.log(name)
    setTimeout(() => process.exit(7), 500)
  })
setInterval(() => {}, 1000)
console.log('ready')`

test.each(['SIGTERM', 'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR2'] as const)(
  'without a terminal %s reaches the command, once, and rootling waits for it',
  async (signal) => {
    const { env, script } = await open()
    const args = [command, 'run', process.execPath, script('listen.mjs', listener)]
    const child = start(process.execPath, args, env)
    let said = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
    await waitFor('the command', () => (said.includes('ready') ? true : null))
    child.kill(signal)
    expect(await ended).toBe(7)
    expect(said).toBe(`ready\n${signal}\n`)
  },
)

test('Ctrl+C of a terminal reaches the command once', async () => {
  const { run, directory, script } = await open()
  const path = script('listen.mjs', listener)
  const terminal = script(
    'terminal.py',
    `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[1], sys.argv[1:])
said = b''
while b'ready' not in said:
    said += os.read(fd, 1000)
os.write(fd, b'\\x03')
try:
    while True:
        more = os.read(fd, 1000)
        if not more: break
        said += more
except OSError:
    pass
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), said.decode().replace('^C', '').split())
`,
  )
  const state = `ROOTLING_HOME=${directory}/state`
  const args = [
    terminal,
    '/usr/bin/env',
    state,
    process.execPath,
    command,
    'run',
    process.execPath,
    path,
  ]
  const { stdout, stderr } = await run('/usr/bin/python3', args)
  expect(stderr).toBe('')
  expect(stdout).toBe(`7 ['ready', 'SIGINT']\n`)
})

test('a warning about what a variable named goes to standard error', async () => {
  const { rootling } = await open()
  const { exitCode, stdout, stderr } = await rootling(['run', 'echo', 'ran'], {
    env: { SSL_CERT_FILE: '/no/such.pem' },
  })
  expect([exitCode, stdout]).toEqual([0, 'ran\n'])
  expect(stderr).toBe(
    'Warning: SSL_CERT_FILE is set, but no certificate in PEM could be read from /no/such.pem.\n',
  )
})
