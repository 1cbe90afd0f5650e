import { spawnSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { nodeFlags } from '../../src/daemon/garbage.ts'
import { installService, uninstallService } from '../../src/daemon/service/manager.ts'
import { launchdService, systemdService, windowsTask } from '../../src/daemon/service/units.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { notInstalled } from '../outside/e2e/client.ts'
import { createFakeMachine } from '../platform/fake-machine.ts'
import { createMac, createWindows } from '../platform/simulators/machine.ts'

/** Words that each format would read as something else. */
const oddities = [
  'a b',
  '%n %%',
  '$HOME $$',
  '"double"',
  "'single'",
  'back\\slash\\',
  '<&>',
  'é …',
  '',
]
const plain = { program: '/usr/bin/node', args: ['rootling.cjs', 'daemon', 'run'], home: '/home/a' }

const obstacle = await notInstalled('systemd-analyze')
describe.skipIf(obstacle !== null)(`systemd-analyze verify${obstacle ?? ''}`, () => {
  /** What it says of the unit; nothing: it is sound, and its program is there. */
  async function verify(directory: string, command: Parameters<typeof systemdService>[0]) {
    const service = systemdService(command, join(directory, 'config'))
    mkdirSync(dirname(service.path), { recursive: true })
    writeFileSync(service.path, service.contents)
    const runtime = join(directory, 'runtime')
    mkdirSync(runtime, { recursive: true, mode: 0o700 })
    const env = scrubbedEnvironment(directory, { XDG_RUNTIME_DIR: runtime })
    const args = ['verify', '--user', '--man=no', service.path]
    const { status, stderr } = spawnSync('systemd-analyze', args, { env, encoding: 'utf8' })
    return { status, stderr }
  }

  test('finds nothing in the unit of a plain command', async () => {
    const directory = await temporaryDirectory()
    expect(await verify(directory, { ...plain, program: '/bin/true' })).toEqual({
      status: 0,
      stderr: '',
    })
  })

  test.each(['a b', '100% %n', '$HOME', 'say "hi"', "it's", 'back\\slash', 'é'])(
    'finds the program in a directory named %s',
    async (name) => {
      const directory = await temporaryDirectory()
      const program = join(directory, name, 'node')
      mkdirSync(dirname(program))
      copyFileSync('/bin/true', program)
      chmodSync(program, 0o755)
      const command = { program, args: oddities, home: join(directory, name) }
      expect(await verify(directory, command)).toEqual({ status: 0, stderr: '' })
    },
  )

  test('says so where a unit is none of ours', async () => {
    const directory = await temporaryDirectory()
    const absent = await verify(directory, { ...plain, program: '/nowhere/node' })
    expect(absent.status).not.toBe(0)
    expect(absent.stderr).toContain('/nowhere/node')
    // What its authors' own rules would refuse, if the shell did not start it.
    const quoted = await verify(directory, { ...plain, program: '/nowhere/"node' })
    expect(quoted).toEqual({ status: 0, stderr: '' })
  })
})

test('the plist says the same words after Python’s own parser has read it', async () => {
  const service = launchdService({ program: '/a & b/<node>', args: oddities, home: '/h&"\'' }, 501)
  const script =
    'import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))'
  const { stdout, stderr } = spawnSync('/usr/bin/python3', ['-c', script], {
    input: service.contents,
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  expect(JSON.parse(stdout)).toEqual({
    Label: 'dev.rootling.daemon',
    ProgramArguments: ['/a & b/<node>', ...oddities],
    EnvironmentVariables: { ROOTLING_HOME: '/h&"\'' },
    RunAtLoad: true,
    KeepAlive: { SuccessfulExit: false },
    ProcessType: 'Background',
  })
})

test('systemd never gives up starting, since what hindered a start may pass', () => {
  const { contents } = systemdService(plain, '/c')
  expect(contents).toContain('StartLimitIntervalSec=0\n')
  expect(contents).toContain('Restart=on-failure\nRestartSec=10\n')
})

test('the daemon is started with flags alone that Node itself takes over from V8', () => {
  // Node ends with 9 where V8 does not know a flag; V8 drops such flags as it likes.
  for (const flag of nodeFlags)
    expect(process.allowedNodeEnvironmentFlags.has(flag.split('=')[0] ?? '')).toBe(true)
})

test('each authority has a service of its own', () => {
  const work = { ...plain, authority: 'work' }
  expect(systemdService(plain, '/c').path).toBe('/c/systemd/user/rootling.service')
  expect(systemdService(work, '/c').path).toBe('/c/systemd/user/rootling-work.service')
  const [plist, other] = [launchdService(plain, 1, '/h'), launchdService(work, 1, '/h')]
  expect(plist.path).toBe('/h/Library/LaunchAgents/dev.rootling.daemon.plist')
  expect(other.path).toBe('/h/Library/LaunchAgents/dev.rootling.daemon.work.plist')
  expect(windowsTask(work, 'a', '/s').known).toContain('Rootling-work')
})

function macAgent(state: Record<string, unknown> = {}) {
  const machine = createMac(state, {
    programs: { launchctl: 'launchctl.mjs' },
  })
  onTestFinished(() => machine.remove())
  const agent = (args = oddities) =>
    launchdService({ ...plain, args }, 501, join(machine.directory, 'home'))
  const agents = () => machine.readState('macos')['agents'] ?? {}
  return { machine, agent, agents }
}

describe('launchd', () => {
  test('has the agent after install, its new words after another one, and none after uninstall', async () => {
    const { machine, agent, agents } = macAgent()
    expect(await installService(agent(), machine)).toBeNull()
    expect(agents()).toMatchObject({
      'dev.rootling.daemon': { ProgramArguments: [plain.program, ...oddities] },
    })
    expect(await installService(agent(['new']), machine)).toBeNull()
    expect(agents()).toMatchObject({
      'dev.rootling.daemon': { ProgramArguments: [plain.program, 'new'] },
    })
    expect(await uninstallService(agent(), machine)).toEqual({ removed: true, problem: null })
    expect(agents()).toEqual({})
    expect(await uninstallService(agent(), machine)).toEqual({ removed: false, problem: null })
  })

  test('over ssh says why not, and the agent that was never loaded goes all the same', async () => {
    const { machine, agent } = macAgent({ session: 'Background' })
    expect(await installService(agent(), machine)).toBe(
      `launchctl bootstrap gui/501 ${agent().path} failed: Bootstrap failed: 125: Domain does not support specified action`,
    )
    expect(await uninstallService(agent(), machine)).toEqual({ removed: true, problem: null })
  })

  test('that will not let go keeps the file, for another attempt', async () => {
    const { machine, agent } = macAgent()
    await installService(agent(), machine)
    machine.setState('macos', { refusing: true })
    const { removed, problem } = await uninstallService(agent(), machine)
    expect(removed).toBe(false)
    expect(problem).toContain('Boot-out failed: 1: Operation not permitted')
    machine.setState('macos', { refusing: false })
    expect(await uninstallService(agent(), machine)).toEqual({ removed: true, problem: null })
  })
})

function windows(state: Record<string, unknown> = {}) {
  const machine = createWindows(state, {
    programs: { 'schtasks.exe': 'windows-schtasks.mjs' },
  })
  onTestFinished(() => machine.remove())
  const task = (user = 'DESKTOP\\ada') =>
    windowsTask(
      { ...plain, program: 'C:\\Program Files\\Böse & Co\\node.exe', args: oddities },
      user,
      machine.directory,
    )
  const tasks = () => machine.readState('windows')['tasks'] ?? {}
  return { machine, task, tasks }
}

describe('Windows’ task scheduler', () => {
  test('has the task after install, runs it at once, and has none after uninstall', async () => {
    const { machine, task, tasks } = windows()
    expect(await uninstallService(task(), machine)).toEqual({ removed: false, problem: null })
    for (let round = 0; round < 2; round += 1) {
      expect(await installService(task(), machine)).toBeNull()
      expect(tasks()).toEqual({
        Rootling: {
          users: ['DESKTOP\\ada', 'DESKTOP\\ada'],
          command: 'C:\\Program Files\\Böse & Co\\node.exe',
          arguments: `"a b" "%n %%" "$HOME $$" "\\"double\\"" 'single' back\\slash\\ <&> "é …" "" --home /home/a`,
          runs: 1,
        },
      })
    }
    expect(await uninstallService(task(), machine)).toEqual({ removed: true, problem: null })
    expect(tasks()).toEqual({})
  })

  test('that refuses is told of, and what it keeps is not called removed', async () => {
    const { machine, task } = windows()
    expect(await installService(task('DESKTOP\\eve'), machine)).toBe(
      `schtasks.exe /Create /TN Rootling /XML ${task().path} /F failed: ERROR: Access is denied.`,
    )
    await installService(task(), machine)
    machine.setState('windows', { refusing: true })
    const { removed, problem } = await uninstallService(task(), machine)
    expect({ removed, problem }).toEqual({
      removed: false,
      problem: 'schtasks.exe /Delete /TN Rootling /F failed: ERROR: Access is denied.',
    })
    expect(readFileSync(task().path)).toEqual(task().contents)
  })
})

describe('a service file that a person wrote or changed', () => {
  const older = systemdService(plain, '/c').contents.toString()
  test.each([
    ['a unit of their own', '[Service]\nExecStart=/usr/local/bin/rootling daemon run\n'],
    ['a line more', older.replace('[Install]', 'Nice=10\n\n[Install]')],
  ])('is neither replaced nor deleted: %s', async (_name, text) => {
    const machine = createFakeMachine()
    const service = systemdService(plain, await temporaryDirectory())
    mkdirSync(dirname(service.path), { recursive: true })
    writeFileSync(service.path, text)
    await expect(installService(service, machine)).rejects.toMatchObject({
      code: 'not-ours',
      message: `${service.path} was not written by rootling daemon install, or was changed since.`,
    })
    expect(await uninstallService(service, machine)).toEqual({
      removed: false,
      problem: `${service.path} was not written by rootling daemon install, or was changed since, so it was left.`,
    })
    expect(readFileSync(service.path, 'utf8')).toBe(text)
  })

  test('is not one that an older version wrote, for another program and home', async () => {
    const machine = createFakeMachine()
    const directory = await temporaryDirectory()
    const service = systemdService(plain, directory)
    const other = { program: '/opt/a b/node', args: ['run'], home: '/home/"b"' }
    mkdirSync(dirname(service.path), { recursive: true })
    const text = systemdService(other, directory)
      .contents.toString()
      .replace('StartLimitIntervalSec=0', 'StartLimitIntervalSec=60\nStartLimitBurst=5')
      .replace('RestartSec=10', 'RestartSec=5')
    writeFileSync(service.path, text)
    expect(await installService(service, machine)).toBe('systemctl is not on this machine.')
    expect(readFileSync(service.path, 'utf8')).toBe(service.contents)
    const [link = ''] = service.links ?? []
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync(service.path, link)
    expect((await uninstallService(service, machine)).removed).toBe(true)
    expect(lstatSync(link, { throwIfNoEntry: false })).toBeUndefined()
  })

  test('for launchd, too', async () => {
    const home = await temporaryDirectory()
    const agent = launchdService(plain, 501, home)
    const other = launchdService({ ...plain, program: '/b/node', home: '/b' }, 501, home)
    const text = other.contents.toString()
    expect(agent.isOwn(text)).toBe(true)
    expect(
      agent.isOwn(text.replace('<key>RunAtLoad', '<key>Nice</key><integer>5</integer>\n$&')),
    ).toBe(false)
  })
})

test('where the manager’s tool is not there, install says so and uninstall deletes the file', async () => {
  const machine = createFakeMachine()
  const service = systemdService(plain, await temporaryDirectory())
  expect(await installService(service, machine)).toBe('systemctl is not on this machine.')
  expect(readFileSync(service.path, 'utf8')).toBe(service.contents)
  const problem = 'systemctl is not on this machine.'
  expect(await uninstallService(service, machine)).toEqual({ removed: true, problem })
  expect(await uninstallService(service, machine)).toEqual({ removed: false, problem: null })
})
