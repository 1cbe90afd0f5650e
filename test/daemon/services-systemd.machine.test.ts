import { once } from 'node:events'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { command, ensureBuilt, project } from '../helpers/built.ts'
import { freePort } from '../helpers/free-port.ts'
import { namespaceUnavailable } from '../helpers/namespace.ts'
import { testNamespace } from '../helpers/test-namespace.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { noPorts } from './daemon-home.ts'
import { managerUnavailable, startManager } from './service/user-manager.ts'

// A systemd user manager of its own, in a private namespace, keeps the daemon for real.

const obstacle = namespaceUnavailable() ?? managerUnavailable()

const makeAuthority = `
  const { certificateFor } = await import(process.argv[1])
  await certificateFor(['localhost'])`

/** A machine with systemd's directory of runtime files, and an authority in an odd place. */
async function openMachine() {
  ensureBuilt()
  const namespace = await testNamespace()
  const runtime = '/run/user/0'
  const script = `mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && mkdir -p -m 0700 ${runtime}`
  await namespace.must('sh', ['-c', script])
  // Set in the shell alone, as people do: a service does not see it.
  const data = join(namespace.home, 'my $HOME 100%n "data"')
  const env = { XDG_RUNTIME_DIR: runtime, XDG_DATA_HOME: data }
  const library = join(project, 'dist/library/index.js')
  await namespace.must(process.execPath, ['--input-type=module', '-e', makeAuthority, library], {
    env,
  })
  const daemon = (...args: string[]) =>
    namespace.run(process.execPath, [command, 'daemon', ...args], { env })
  const pid = async (): Promise<number | null> => {
    const { stdout } = await daemon('status', '--json')
    return (JSON.parse(stdout) as { pid?: number }).pid ?? null
  }
  const systemctl = async (...args: string[]): Promise<string> =>
    (await namespace.run('systemctl', ['--user', ...args], { env })).stdout.trim()
  return { namespace, env, daemon, pid, systemctl }
}

describe.skipIf(obstacle !== null)(
  `under systemd${obstacle ? ` [skipped: ${obstacle}]` : ''}`,
  () => {
    test('the daemon is kept running, comes back when killed, and goes at uninstall', async () => {
      const machine = await openMachine()
      const { namespace, daemon, pid, systemctl } = machine
      await startManager(machine.namespace, machine.env)
      const unit = 'rootling.service'
      const mainPid = async () => Number(await systemctl('show', '-p', 'MainPID', '--value', unit))

      await daemon('start', ...noPorts)
      const byHand = await pid()
      const installed = await daemon('install')
      expect(installed).toMatchObject({ exitCode: 0, stderr: '' })
      const path = `${namespace.home}/.config/systemd/user/${unit}`
      expect(installed.stdout).toBe(`${path}\n`)
      expect(await systemctl('is-enabled', unit)).toBe('enabled')
      const first = await waitFor('the service', async () =>
        (await pid()) === (await mainPid()) ? pid() : null,
      )
      expect(first).not.toBe(byHand)

      await namespace.must('kill', ['-9', String(first)])
      const second = await waitFor('the next daemon', pid)
      expect(second).not.toBe(first)
      expect(second).toBe(await mainPid())

      // Over itself: the unit of today, and again one daemon.
      expect(await daemon('install')).toMatchObject({ exitCode: 0, stderr: '' })
      const third = await waitFor('the service', async () =>
        (await pid()) === (await mainPid()) ? pid() : null,
      )
      expect(third).not.toBe(second)

      expect((await daemon('stop')).exitCode).toBe(0)
      await waitFor('systemd to notice', async () =>
        (await systemctl('is-active', unit)) === 'inactive' ? true : null,
      )
      await systemctl('start', unit)
      await waitFor('the service', pid)
      expect(await daemon('uninstall')).toMatchObject({
        exitCode: 0,
        stderr: expect.stringContaining('no longer starts at login'),
      })
      expect(await pid()).toBeNull()
      expect(await systemctl('is-enabled', unit)).toBe('')
      const left = await namespace.must('find', [`${namespace.home}/.config`, '-name', 'rootling*'])
      expect(left.stdout).toBe('')
      expect(await daemon('uninstall')).toMatchObject({
        exitCode: 0,
        stderr: 'The daemon was not installed.\n',
      })
    })

    test('a daemon that does not come up is told of, and comes up when it can', async () => {
      const machine = await openMachine()
      const { daemon, pid, systemctl } = machine
      await startManager(machine.namespace, machine.env)
      const port = await freePort()
      await daemon('start', '--acme-port=0', `--revocation-port=${port}`)
      await daemon('stop')
      const other = createServer().listen(port, '127.0.0.1')
      onTestFinished(() => void other.close())
      await once(other, 'listening')
      const { exitCode, stdout, stderr } = await daemon('install', '--json')
      expect({ exitCode, stderr }).toEqual({ exitCode: 1, stderr: '' })
      const warning = 'The daemon does not answer yet. To see why: rootling daemon logs'
      expect(JSON.parse(stdout)).toMatchObject({
        enabled: true,
        running: false,
        warnings: [warning],
      })
      const { stdout: log } = await daemon('logs', '-n', '1')
      expect(log).toContain(`ended: Another program already listens on 127.0.0.1:${port}.`)
      other.close()
      // It has given up by now, or will soon try again.
      await systemctl('reset-failed', 'rootling.service')
      await systemctl('start', 'rootling.service')
      await waitFor('the daemon', pid)
    })

    test('where it does not run, install says so and leaves the daemon as it was', async () => {
      const { namespace, daemon, pid } = await openMachine()
      await daemon('start', ...noPorts)
      const { exitCode, stderr } = await daemon('install')
      expect(exitCode).toBe(1)
      expect(stderr).toMatch(
        /^Warning: systemctl --user daemon-reload failed: Failed to connect to bus: [^\n]+\nTo start it: systemctl --user daemon-reload && systemctl --user enable --now rootling\.service\n$/,
      )
      expect(await pid()).not.toBeNull()
      const removed = await daemon('uninstall', '--json')
      expect(removed.exitCode).toBe(0)
      expect(JSON.parse(removed.stdout)).toMatchObject({ removed: true })
      expect(await pid()).toBeNull()
      const left = await namespace.run('find', [`${namespace.home}/.config`, '-name', 'rootling*'])
      expect(left.stdout).toBe('')
    })
  },
)
