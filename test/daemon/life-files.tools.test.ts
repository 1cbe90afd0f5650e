import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, symlinkSync } from 'node:fs'
import { writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { command } from '../helpers/built.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run, waitFor } from '../helpers/subprocess.ts'
import { isAlive, noPorts, openDaemonHome } from './daemon-home.ts'

// Who else can reach the daemon and its files: nobody, whatever the umask and wherever the socket.

const modeOf = (path: string): string => (statSync(path).mode & 0o777).toString(8)

test.each(['000', '022', '077'])('modes are right under umask %s', async (mask) => {
  const home = await openDaemonHome()
  const env = scrubbedEnvironment(home.directory, { ROOTLING_HOME: home.state })
  const words = [process.execPath, command, 'daemon', 'start', ...noPorts]
  const script = `umask ${mask}; exec "$@"`
  expect(await run('sh', ['-c', script, 'sh', ...words], env)).toMatchObject({ exitCode: 0 })
  const { address } = home.runFile()
  expect(modeOf(address)).toBe('600')
  expect(modeOf(dirname(address))).toBe('700')
  for (const name of ['daemon-run.json', 'daemon.json', 'daemon.lock', 'daemon.log'])
    expect([name, modeOf(join(home.state, name))]).toEqual([name, '600'])
})

// Connects, and reads every file; prints each refusal's number (errno(3)).
const intruder = `
import errno, os, socket, sys
def attempt(what):
    try:
        what()
        return 'let in'
    except OSError as error:
        return errno.errorcode[error.errno]
address, *files = sys.argv[1:]
print(attempt(lambda: socket.socket(socket.AF_UNIX).connect(address)))
for name in files:
    print(attempt(lambda: open(name).read()))
`
const isRoot = process.getuid?.() === 0
const asOther = (address: string, files: readonly string[]): string[] => {
  const drop = ['--reuid=54321', '--regid=54321', '--clear-groups', '--']
  const words = ['/usr/bin/python3', '-c', intruder, address, ...files]
  const { stdout, stderr } = spawnSync('setpriv', [...drop, ...words], { encoding: 'utf8' })
  if (stderr !== '') throw new Error(stderr)
  return stdout.trim().split('\n')
}

describe.skipIf(!isRoot)('a process of another user (needs root to start one)', () => {
  test('gets neither to the socket nor to a file, though the home is open to all', async () => {
    const home = await openDaemonHome()
    await home.daemon(['start', ...noPorts])
    chmodSync(home.directory, 0o755)
    const { address } = home.runFile()
    const names = ['daemon-run.json', 'daemon.json', 'daemon.log']
    const files = names.map((name) => join(home.state, name))
    expect(asOther(address, files)).toEqual(['EACCES', 'EACCES', 'EACCES', 'EACCES'])
    // Even where somebody opened the directories, each file refuses by itself.
    chmodSync(home.state, 0o755)
    chmodSync(dirname(address), 0o755)
    expect(asOther(address, files)).toEqual(['EACCES', 'EACCES', 'EACCES', 'EACCES'])
    // The control: with the socket open too, this very intruder does get in.
    chmodSync(address, 0o666)
    expect(asOther(address, files)).toEqual(['let in', 'EACCES', 'EACCES', 'EACCES'])
  })
})

describe('a state directory whose path is too long for a socket', () => {
  async function openFarHome() {
    const home = await openDaemonHome()
    const far = join(home.directory, 'a'.repeat(60), 'b'.repeat(60), 'state')
    mkdirSync(dirname(far), { recursive: true })
    const runtime = join(home.directory, 'runtime')
    mkdirSync(runtime, { mode: 0o700 })
    expect((await home.run('mv', [home.state, far])).exitCode).toBe(0)
    const daemon = (verb: string, ...args: string[]) =>
      home.daemon([verb, ...args], { env: { ROOTLING_HOME: far, XDG_RUNTIME_DIR: runtime } })
    return { ...home, far, runtime, daemon }
  }

  test('has it in XDG_RUNTIME_DIR, 0600 in a directory 0700 that goes with it', async () => {
    const { daemon, runtime, daemons } = await openFarHome()
    expect(await daemon('start', ...noPorts)).toMatchObject({ exitCode: 0 })
    const [name = ''] = readdirSync(runtime)
    expect(name).toMatch(/^rootling-\d+-[0-9a-f]{12}$/)
    expect(modeOf(join(runtime, name))).toBe('700')
    expect(modeOf(join(runtime, name, 'control.sock'))).toBe('600')
    expect(await daemon('status')).toMatchObject({ exitCode: 0 })
    expect(await daemon('stop')).toMatchObject({ exitCode: 0 })
    await waitFor('the end of the process', () => (daemons().length === 0 ? true : null))
    expect(readdirSync(runtime)).toEqual([])
  })

  test('is refused with a sentence when that is too long as well', async () => {
    const { daemons, rootling, far, runtime } = await openFarHome()
    const long = join(runtime, 'c'.repeat(90))
    mkdirSync(long, { mode: 0o700 })
    const env = { ROOTLING_HOME: far, XDG_RUNTIME_DIR: long }
    const refused = await rootling(['daemon', 'start', ...noPorts], { env })
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' })
    expect(refused.stderr).toMatch(
      /^Error: \S+control\.sock is too long for a socket\.\n {2}→ Set ROOTLING_HOME /,
    )
    expect(daemons()).toEqual([])
  })

  test('is refused when somebody made the directory of the socket first', async () => {
    const { daemon, runtime, daemons } = await openFarHome()
    await daemon('start', ...noPorts)
    const [name = ''] = readdirSync(runtime)
    await daemon('stop')
    const planted = join(runtime, name)
    mkdirSync(planted)
    chmodSync(planted, 0o777)
    const refused = await daemon('start')
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' })
    expect(refused.stderr).toBe(
      `Error: ${planted} is not a directory that you alone can enter.\n  → mv ${planted} ${planted}.old\n`,
    )
    expect(daemons()).toEqual([])
  })
})

describe('what was planted where the socket goes is refused and left alone', () => {
  const plants: Record<string, (path: string) => void> = {
    'a file': (path) => writeFileSync(path, 'precious'),
    'a directory': (path) => mkdirSync(path),
    'a symbolic link': (path) => symlinkSync('/somewhere/else', path),
  }
  test.each(Object.entries(plants))('%s', async (_what, plant) => {
    const home = await openDaemonHome()
    const path = join(home.state, 'run', 'control.sock')
    mkdirSync(dirname(path), { mode: 0o700 })
    plant(path)
    const before = await home.run('ls', ['-l', dirname(path)])
    const ports = ['--acme-port=0']
    const refused = await home.daemon(['start', ...ports])
    expect(refused).toMatchObject({ exitCode: 1, stdout: '' })
    expect(refused.stderr).toBe(
      `Error: ${path} is not a socket of the daemon.\n  → mv ${path} ${path}.old\n`,
    )
    expect(await home.run('ls', ['-l', dirname(path)])).toEqual(before)
    expect(home.daemons()).toEqual([])
    expect(existsSync(join(home.state, 'daemon-run.json'))).toBe(false)
  })

  test('and so is a directory of the socket that others can enter, or a link to one', async () => {
    const home = await openDaemonHome()
    const directory = join(home.state, 'run')
    symlinkSync(home.directory, directory)
    const refused = await home.daemon(['start', ...noPorts])
    expect(refused.stderr).toContain(`${directory} is not a directory that you alone can enter.`)
    await home.run('rm', [directory])
    mkdirSync(directory)
    chmodSync(directory, 0o711)
    const open = await home.daemon(['start', ...noPorts])
    expect(open.stderr).toContain(`${directory} is not a directory that you alone can enter.`)
    chmodSync(directory, 0o700)
    expect((await home.daemon(['start'])).exitCode).toBe(0)
    expect(isAlive(home.runFile().pid)).toBe(true)
  })
})
