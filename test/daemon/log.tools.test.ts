import { once } from 'node:events'
import {
  appendFileSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createLog, logPath, openTail } from '../../src/daemon/log-file.ts'
import { command } from '../helpers/built.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { killGroup, start, waitFor } from '../helpers/subprocess.ts'
import { freePort } from '../helpers/free-port.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { openDaemonHome, type DaemonHome } from './daemon-home.ts'

const at = new Date('2026-01-02T03:04:05.678Z')

async function openLog(limit?: number) {
  const state = await temporaryState()
  mkdirSync(state.path, { recursive: true, mode: 0o700 })
  const path = logPath(state)
  return { path, state, log: createLog(state, () => at, limit) }
}

test('an entry is one line with its time, whatever is in it, and of bounded length', async () => {
  const { log, path } = await openLog()
  log('one\ntwo\r\n\u001b[2Jthree\u0000\u009bfour')
  log('x'.repeat(1_000_000))
  const [first, second = '', ...rest] = readFileSync(path, 'utf8').split('\n')
  expect(first).toBe('2026-01-02T03:04:05.678Z one two [2Jthree four')
  expect(second.length).toBeLessThan(9_000)
  expect(rest).toEqual([''])
})

test('the log and the one before it stay small, and are for their owner alone', async () => {
  const before = process.umask(0)
  onTestFinished(() => void process.umask(before))
  const { log, path, state } = await openLog(10_000)
  for (let line = 0; line < 5_000; line += 1) log(`line ${line} ${'.'.repeat(50)}`)
  for (const file of [path, `${path}.1`]) {
    expect(statSync(file).size).toBeLessThan(10_200)
    expect(statSync(file).mode & 0o777).toBe(0o600)
  }
  expect(readdirSync(state.path).toSorted()).toEqual(['daemon.log', 'daemon.log.1'])
  expect(readFileSync(path, 'utf8')).toMatch(/line 4999 \.+\n$/)
})

test('a log that cannot be written ends nothing, and goes on when it can be', async () => {
  const { log, path, state } = await openLog()
  log('first')
  rmSync(state.path, { recursive: true })
  log('lost')
  mkdirSync(state.path, { mode: 0o700 })
  mkdirSync(path)
  log('lost too')
  rmSync(path, { recursive: true })
  log('last')
  expect(readFileSync(path, 'utf8')).toBe('2026-01-02T03:04:05.678Z last\n')
})

test('a tail gives each line once: over rotations, a truncation, a new file and half a line', async () => {
  const { path } = await openLog()
  const tail = openTail(path)
  onTestFinished(() => tail.close())
  const write = (text: string): void => appendFileSync(path, text)
  expect(tail.read()).toEqual([])
  write('one\ntwo\nthr')
  expect(tail.read()).toEqual(['one', 'two'])
  write('ee\n')
  expect(tail.read()).toEqual(['three'])
  expect(tail.read()).toEqual([])
  // The same words again are new lines.
  write('three\n')
  write('before\n')
  renameSync(path, `${path}.1`)
  write('after\n')
  expect(tail.read()).toEqual(['three', 'before', 'after'])
  write('x\n')
  truncateSync(path)
  write('y\n')
  expect(tail.read()).toEqual(['y'])
  rmSync(path)
  expect(tail.read()).toEqual([])
  write('anew \u00e9\u2026\n')
  expect(tail.read()).toEqual(['anew é…'])
  write('line\n'.repeat(100_000))
  expect(tail.read()).toHaveLength(100_000)
})

/** `rootling daemon logs -f`, and what it has printed. */
function follow(home: DaemonHome, ...args: string[]) {
  const env = scrubbedEnvironment(home.directory, { ROOTLING_HOME: home.state })
  const program = start(process.execPath, [command, 'daemon', 'logs', '-f', ...args], env)
  onTestFinished(() => killGroup(program))
  let printed = ''
  program.stdout.setEncoding('utf8').on('data', (text: string) => (printed += text))
  return { program, printed: () => printed }
}

test('daemon logs shows the end of the log, and refuses what is no number of lines', async () => {
  const home = await openDaemonHome()
  const path = join(home.state, 'daemon.log')
  writeFileSync(`${path}.1`, 'a\nb\n')
  writeFileSync(path, 'c\nd\n')
  const logs = async (...args: string[]) => (await home.daemon(['logs', ...args])).stdout
  expect(await logs()).toBe('a\nb\nc\nd\n')
  expect(await logs('-n', '3')).toBe('b\nc\nd\n')
  expect(await logs('--lines=0')).toBe('')
  const { stdout } = await home.daemon(['logs', '-n2', '--json'])
  expect(JSON.parse(stdout)).toMatchObject({ ok: true, path, lines: ['c', 'd'] })
  for (const wrong of ['-1', '1.5', 'many']) {
    const refused = await home.daemon(['logs', `--lines=${wrong}`])
    expect(refused).toMatchObject({ exitCode: 2, stdout: '' })
    expect(refused.stderr).toMatch(/^Error: --lines [^\n]+\n {2}→ /)
  }
  expect((await home.daemon(['logs', '-f', '--json'])).exitCode).toBe(2)
})

test('daemon logs -f goes on over a rotation, and ends with 0 on SIGINT and without a reader', async () => {
  const home = await openDaemonHome()
  const path = join(home.state, 'daemon.log')
  writeFileSync(path, 'old\nthis one\n')
  const { program, printed } = follow(home, '-n', '1')
  const shows = (text: string) =>
    waitFor(`the line ${text.trim()}`, () => (printed().endsWith(text) ? true : null))
  await shows('this one\n')
  for (const round of [1, 2, 3]) {
    appendFileSync(path, `before ${round}\n`)
    renameSync(path, `${path}.1`)
    appendFileSync(path, `after ${round}\n`)
    await shows(`after ${round}\n`)
  }
  const rounds = [1, 2, 3].map((round) => `before ${round}\nafter ${round}\n`)
  expect(printed()).toBe(`this one\n${rounds.join('')}`)
  const ended = once(program, 'exit')
  program.kill('SIGINT')
  expect(await ended).toEqual([0, null])

  const unread = follow(home)
  await waitFor('a line', () => (unread.printed() === '' ? null : true))
  unread.program.stdout.destroy()
  const gone = waitFor('the end', () => {
    appendFileSync(path, 'nobody reads this\n')
    return unread.program.exitCode
  })
  expect(await gone).toBe(0)
})

test('no key or token is in the log, whatever happened', async () => {
  const home = await openDaemonHome()
  const [acme, revocation] = [await freePort(), await freePort()]
  const ports = [`--acme-port=${acme}`, `--revocation-port=${revocation}`]
  await home.daemon(['start', ...ports, '--eab-required'])
  const { token } = home.runFile()
  const eab = await home.json(['acme', 'eab', 'create'])
  await home.rootling(['issue', 'shop.test', '--on-renew', 'echo $SECRET >&2; exit 3'])
  await home.rootling(['issue', 'lost.test', '--days', '1'])
  const directory = `https://localhost:${acme}/acme`
  await home.rootling(['get', `${directory}/directory`])
  // Requests that fail, with a secret where each is looked for.
  const secret = 'c2VjcmV0LXRva2Vu'
  const curl = (...args: string[]) => home.run('curl', ['-sk', '-o', '/dev/null', ...args])
  await curl('-d', `{"protected":"${secret}"}`, `${directory}/new-account`)
  await curl('-d', secret, '-H', 'content-type: application/jose+json', `${directory}/new-order`)
  await curl('-H', `authorization: Bearer ${secret}`, `http://localhost:${revocation}/${secret}`)
  await home.daemon(['restart'])
  await home.daemon(['stop'])

  const log = home.log()
  expect(log).toContain('started')
  const { kid, hmacKey } = eab.value as { kid: string; hmacKey: string }
  expect(hmacKey.length).toBeGreaterThan(20)
  const keys = privateKeysBelow(home.directory)
  expect(keys.length).toBeGreaterThan(2)
  const secrets = [token, hmacKey, secret, ...keys.flatMap((pem) => pem.split('\n').slice(1, -2))]
  expect(secrets.filter((each) => log.includes(each))).toEqual([])
  expect(log).not.toMatch(/PRIVATE KEY|BEGIN/)
  expect(kid).not.toBe('')
  const modes = readdirSync(home.state).filter((name) => name.startsWith('daemon.log'))
  for (const name of modes) expect(statSync(join(home.state, name)).mode & 0o777).toBe(0o600)
})

function privateKeysBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.pem'))
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
    .filter((text) => text.includes('PRIVATE KEY'))
}
