import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { openHome } from '../helpers/home.ts'
import { freePort } from '../helpers/free-port.ts'
import { startHttpsServer } from '../helpers/https-server.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { killGroup, start, waitFor } from '../helpers/subprocess.ts'
import { isAlive, noPorts, openDaemonHome, type DaemonHome } from './daemon-home.ts'

const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

async function expectNothingLeft({ state, daemons }: DaemonHome): Promise<void> {
  await waitFor('the end of the process', () => (daemons().length === 0 ? true : null))
  expect(existsSync(join(state, 'daemon-run.json'))).toBe(false)
  expect(existsSync(join(state, 'run'))).toBe(false)
}

/** `rootling daemon run` in the foreground, once it answers. */
async function runInForeground(home: DaemonHome, args: readonly string[] = noPorts) {
  const env = scrubbedEnvironment(home.directory, { ROOTLING_HOME: home.state })
  const program = start(process.execPath, [command, 'daemon', 'run', ...args], env)
  onTestFinished(() => killGroup(program))
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    program[name].setEncoding('utf8').on('data', (text: string) => (said[name] += text))
  await waitFor('the daemon', () => (said.stdout.startsWith('Running since ') ? true : null))
  return { program, said }
}

test('start, status and stop: what it does and since when, and nothing is left', async () => {
  const home = await openDaemonHome()
  const [acme, revocation] = [await freePort(), await freePort()]
  const ports = [`--acme-port=${acme}`, `--revocation-port=${revocation}`]
  const before = Date.now()
  const started = await home.daemon(['start', ...ports])
  expect(started).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('was started') })
  const directory = `https://localhost:${acme}/acme/directory`

  const { stdout } = await home.daemon(['status'])
  expect(stdout).toBe(started.stdout)
  const lines = stdout.trimEnd().split('\n')
  expect(lines[0]).toMatch(/^Running since \d{4}-\d\d-\d\d \d\d:\d\d UTC, pid \d+$/)
  expect(lines[1]).toBe(`revocation    http://localhost:${revocation}`)
  expect(lines[2]).toBe(`ACME          ${directory}`)
  // The certificate that makes the authority is a tracked one.
  expect(lines[3]).toMatch(/^next renewal {2}\d{4}-\d\d-\d\d \d\d:\d\d UTC$/)

  const status = await home.status()
  expect(status).toMatchObject({
    exitCode: 0,
    running: true,
    pid: home.runFile().pid,
    listening: [{ what: 'revocation' }, { what: 'ACME', url: directory }],
    failures: [],
  })
  expect(status['since']).toMatch(instant)
  expect(Date.parse(String(status['since']))).toBeGreaterThanOrEqual(before)
  expect((await home.rootling(['get', directory])).stdout).toContain('"newNonce"')

  const stopped = await home.daemon(['stop'])
  expect(stopped).toMatchObject({ exitCode: 0, stderr: 'The daemon was stopped.\n' })
  await expectNothingLeft(home)
  expect(await home.status()).toMatchObject({ exitCode: 1, running: false })
  const again = await home.daemon(['stop'])
  expect(again).toMatchObject({ exitCode: 0, stderr: 'The daemon is not running.\n' })
})

test('stop does not wait for clients that are idle or send half a request', async () => {
  const home = await openDaemonHome()
  const [acme, revocation] = [await freePort(), await freePort()]
  await home.daemon(['start', `--acme-port=${acme}`, `--revocation-port=${revocation}`])
  const { pid, address } = home.runFile()
  const clients = [connect(acme, '127.0.0.1'), connect(revocation, '127.0.0.1'), connect(address)]
  for (const client of clients) client.on('error', () => undefined)
  onTestFinished(() => clients.forEach((client) => client.destroy()))
  await Promise.all(clients.map((client) => once(client, 'connect')))
  clients[1]?.write('POST /ocsp HTTP/1.1\r\nHost: localhost\r\nContent-Le')
  clients[2]?.write('{"nonce":')
  expect((await home.daemon(['stop'])).exitCode).toBe(0)
  await waitFor('the end of the process', () => (isAlive(pid) ? null : true))
})

test('restart is a new process with the settings kept; a wrong option leaves the old one', async () => {
  const home = await openDaemonHome()
  const revocation = await freePort()
  await home.daemon(['start', '--acme-port=0', `--revocation-port=${revocation}`])
  const first = await home.status()
  const wrong = await home.daemon(['restart', '--acme-port=99999'])
  expect(wrong).toMatchObject({ exitCode: 2, stdout: '' })
  expect(wrong.stderr).toMatch(/^Error: --acme-port 99999 [^\n]+\n {2}→ /)
  expect(await home.status()).toEqual({ ...first, memoryBytes: expect.any(Number) })

  expect((await home.daemon(['restart'])).exitCode).toBe(0)
  const second = await home.status()
  expect(second['pid']).not.toBe(first['pid'])
  expect(second['listening']).toEqual(first['listening'])
  await waitFor('the end of the first', () => (isAlive(Number(first['pid'])) ? null : true))
  await home.daemon(['restart', '--revocation-port=0'])
  expect(await home.status()).toMatchObject({ running: true, listening: [] })
  await waitFor('the end of the second', () => (home.daemons().length === 1 ? true : null))
})

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  test(`run ends with 0 on ${signal}, and takes its socket and run file along`, async () => {
    const home = await openDaemonHome()
    const { program, said } = await runInForeground(home)
    expect(await home.status()).toMatchObject({ running: true, pid: program.pid })
    const ended = once(program, 'exit')
    program.kill(signal)
    expect(await ended).toEqual([0, null])
    expect(said.stderr).toMatch(/^\S+Z started, pid \d+: renewal\n\S+Z stopping\n$/)
    expect(home.log()).toMatch(/^\S+Z started, pid \d+: renewal\n\S+Z stopping\n$/)
    await expectNothingLeft(home)
  })
}

test('run opens no debugger, by which other users could read its keys', async () => {
  const home = await openDaemonHome()
  const { program, said } = await runInForeground(home)
  program.kill('SIGUSR1')
  expect(await home.status()).toMatchObject({ running: true, pid: program.pid })
  const ended = once(program, 'exit')
  program.kill('SIGTERM')
  expect(await ended).toEqual([0, null])
  expect(said.stderr).not.toContain('Debugger')
})

test('run goes on when nobody reads what it prints', async () => {
  const home = await openDaemonHome()
  const { program } = await runInForeground(home)
  program.stdout.destroy()
  program.stderr.destroy()
  // Its last line has no reader.
  expect((await home.daemon(['stop'])).exitCode).toBe(0)
  await waitFor('the end', () => (program.exitCode === null ? null : true))
  expect(program.exitCode).toBe(0)
  expect(home.log()).toContain('stopping')
})

test('start twice, and four starts at once, are one daemon, and say so', async () => {
  const home = await openDaemonHome()
  const start4 = Array.from({ length: 4 }, () => home.daemon(['start', ...noPorts, '--json']))
  const answers = (await Promise.all(start4)).map(({ exitCode, stdout }) => {
    expect(exitCode).toBe(0)
    return JSON.parse(stdout) as { started: boolean; pid: number }
  })
  expect(answers.filter(({ started }) => started)).toHaveLength(1)
  expect(new Set(answers.map(({ pid }) => pid)).size).toBe(1)
  expect(home.daemons()).toEqual([answers[0]?.pid])
  const again = await home.daemon(['start'])
  expect(again).toMatchObject({ exitCode: 0, stderr: expect.stringContaining('runs already') })
  const run = await home.daemon(['run'])
  expect(run).toMatchObject({ exitCode: 1, stdout: '' })
  expect(run.stderr).toBe(
    `Error: The daemon runs already (pid ${answers[0]?.pid}).\n  → ROOTLING_HOME=${home.state} rootling daemon status\n`,
  )
  // The log is of the one that runs: nothing in it ended.
  expect(home.log()).toMatch(/^\S+Z started, [^\n]+\n$/)
})

test('after kill -9 status says so, and start takes the dead one’s socket away', async () => {
  const home = await openDaemonHome()
  await home.daemon(['start', ...noPorts])
  const dead = home.runFile()
  process.kill(dead.pid, 'SIGKILL')
  await waitFor('the end of the process', () => (isAlive(dead.pid) ? null : true))
  expect(existsSync(dead.address)).toBe(true)
  expect(await home.status()).toMatchObject({ exitCode: 1, running: false })
  expect(await home.daemon(['start'])).toMatchObject({ exitCode: 0 })
  expect(home.runFile().token).not.toBe(dead.token)
  expect(await home.status()).toMatchObject({ running: true, pid: home.runFile().pid })
})

test('a process that got the dead daemon’s id is neither taken for it nor stopped', async () => {
  const home = await openDaemonHome()
  await home.daemon(['start', ...noPorts])
  const dead = home.runFile()
  process.kill(dead.pid, 'SIGKILL')
  const stranger = spawn('sleep', ['600'], { stdio: 'ignore' })
  onTestFinished(() => void stranger.kill('SIGKILL'))
  const file = join(home.state, 'daemon-run.json')
  writeFileSync(file, JSON.stringify({ ...dead, pid: stranger.pid }), { mode: 0o600 })
  expect(await home.status()).toMatchObject({ running: false })
  expect((await home.daemon(['stop'])).stderr).toBe('The daemon is not running.\n')
  expect((await home.daemon(['restart'])).exitCode).toBe(0)
  expect(isAlive(stranger.pid ?? 0)).toBe(true)
  expect(home.runFile().pid).not.toBe(stranger.pid)
})

test.each(['acme-port', 'revocation-port'])(
  'a --%s that is in use is named, and leaves nothing: neither a process nor the setting',
  async (option) => {
    const home = await openDaemonHome()
    await home.daemon(['start', ...noPorts])
    await home.daemon(['stop'])
    const { port, close } = await startHttpsServer({}, '')
    onTestFinished(close)
    const error = `Error: Another program already listens on 127.0.0.1:${port}.
  → ROOTLING_HOME=${home.state} rootling daemon `
    for (const verb of ['start', 'run', 'restart']) {
      const refused = await home.daemon([verb, '--allow-remote', `--${option}=${port}`])
      const stderr = `${error}${verb} --${option} ${port + 1} --allow-remote\n`
      expect(refused).toMatchObject({ exitCode: 1, stdout: '', stderr })
      await expectNothingLeft(home)
    }
    const { exitCode, stdout } = await home.daemon(['start', `--${option}=${port}`, '--json'])
    expect(exitCode).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'port-in-use' } })
    expect(home.log()).toContain(`ended: Another program already listens on 127.0.0.1:${port}.`)
    expect((await home.daemon(['start'])).exitCode).toBe(0)
    expect(await home.status()).toMatchObject({ running: true, listening: [] })
  },
)

test('the daemon outlives the session that started it, with its streams closed', async () => {
  const home = await openDaemonHome()
  const env = scrubbedEnvironment(home.directory, { ROOTLING_HOME: home.state })
  const script = '"$@" <&- >&- 2>&-; kill -9 0'
  const words = [process.execPath, command, 'daemon', 'start', ...noPorts]
  const session = spawn('setsid', ['--wait', 'sh', '-c', script, 'sh', ...words], {
    env,
    stdio: 'ignore',
  })
  await once(session, 'exit')
  const status = await home.status()
  expect(status).toMatchObject({ exitCode: 0, running: true })
  const { pid } = home.runFile()
  const session1 = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')[3]
  expect(session1).toBe(String(pid))
  for (const stream of [0, 1, 2])
    expect(readlinkSync(`/proc/${pid}/fd/${stream}`)).toBe('/dev/null')
  expect(readlinkSync(`/proc/${pid}/cwd`)).toBe('/')
})

test('without an authority nothing is started or made, and each verb says what to do', async () => {
  const { rootling, directory } = openHome()
  for (const verb of ['start', 'run', 'restart']) {
    const refused = await rootling(['daemon', verb])
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' })
    expect(refused.stderr).toBe(
      `Error: There is no certificate authority yet.\n  → ROOTLING_HOME=${directory}/state rootling install\n`,
    )
  }
  expect((await rootling(['daemon', 'status'])).exitCode).toBe(1)
  expect(await rootling(['daemon', 'stop'])).toMatchObject({ exitCode: 0 })
  const logs = await rootling(['daemon', 'logs'])
  expect(logs).toMatchObject({ exitCode: 0, stdout: '' })
  expect(logs.stderr).toMatch(/^There is nothing in the log \S+ yet\.\n$/)
  expect(readdirSync(directory)).toEqual([])
})

test('a daemon whose state directory is deleted says so and ends, and makes nothing anew', async () => {
  const home = await openDaemonHome()
  const ports = [`--acme-port=${await freePort()}`, `--revocation-port=${await freePort()}`]
  const { program, said } = await runInForeground(home, ports)
  rmSync(home.state, { recursive: true })
  await waitFor('the end', () => (program.exitCode === null ? null : true))
  expect(program.exitCode).toBe(1)
  expect(said.stderr).toMatch(
    /Error: The state directory \S+ was deleted while the daemon ran\.\n {2}→ ROOTLING_HOME=\S+\/state rootling install\n$/,
  )
  expect(existsSync(home.state)).toBe(false)
  expect(await home.status()).toMatchObject({ exitCode: 1, running: false })
})

test('a daemon whose state directory was made anew leaves it to the next one', async () => {
  const home = await openDaemonHome()
  await home.daemon(['start', ...noPorts])
  const { pid } = home.runFile()
  process.kill(pid, 'SIGSTOP')
  rmSync(home.state, { recursive: true })
  await home.createAuthority()
  writeFileSync(join(home.state, 'daemon-run.json'), 'of the next one', { mode: 0o600 })
  process.kill(pid, 'SIGCONT')
  await waitFor('the end', () => (isAlive(pid) ? null : true))
  expect(readFileSync(join(home.state, 'daemon-run.json'), 'utf8')).toBe('of the next one')
  expect(home.log()).toMatch(/ended: The state directory \S+ was deleted while the daemon ran\.\n$/)
})

test('each authority has a daemon of its own, and stop ends the one that is meant', async () => {
  const home = await openDaemonHome()
  const work = join(home.state, 'authorities', 'work')
  cpSync(home.state, join(home.directory, 'copy'), { recursive: true })
  mkdirSync(dirname(work), { mode: 0o700 })
  renameSync(join(home.directory, 'copy'), work)
  const both = ['daemon', 'status', '--json']
  const pids = async () =>
    (await Promise.all([home.rootling(both), home.rootling([...both, '--ca=work'])])).map(
      ({ stdout }) => (JSON.parse(stdout) as { pid?: number }).pid ?? null,
    )
  await home.daemon(['start', '--ca=work', ...noPorts])
  expect(await pids()).toEqual([null, expect.any(Number)])
  await home.daemon(['start', ...noPorts])
  const [ours, theirs] = await pids()
  expect(ours).not.toBe(theirs)
  await home.daemon(['stop'])
  expect(await pids()).toEqual([null, theirs])
  const status = await home.daemon(['status'])
  expect(status.stderr).toBe(
    `The daemon is not running. Start it: ROOTLING_HOME=${home.state} rootling daemon start\n`,
  )
  await home.daemon(['stop', '--ca=work'])
  expect(await pids()).toEqual([null, null])
})
