import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { freePort } from '../helpers/free-port.ts'
import { noPorts, openDaemonHome } from './daemon-home.ts'

test('every setting that the daemon keeps can be set back', async () => {
  const home = await openDaemonHome()
  const kept = () =>
    JSON.parse(readFileSync(join(home.state, 'daemon.json'), 'utf8')) as Record<string, unknown>
  const defaults = { dnsResolver: null, allowRemote: false, eabRequired: false }
  const set = ['--dns-resolver', '127.0.0.1:5353', '--allow-remote', '--eab-required']
  expect(await home.daemon(['start', ...noPorts, ...set])).toMatchObject({ exitCode: 0 })
  const changed = { dnsResolver: '127.0.0.1:5353', allowRemote: true, eabRequired: true }
  expect(kept()).toMatchObject(changed)
  expect(await home.daemon(['restart'])).toMatchObject({ exitCode: 0 })
  expect(kept()).toMatchObject(changed)
  const unset = ['--dns-resolver', 'system', '--no-allow-remote', '--no-eab-required']
  expect(await home.daemon(['restart', ...unset])).toMatchObject({ exitCode: 0 })
  expect(kept()).toMatchObject(defaults)
  // 443 is taken only once there is a route, and there is none here.
  const proxy = `--proxy-port=${await freePort()}`
  expect(await home.daemon(['restart', proxy])).toMatchObject({ exitCode: 0 })
  expect(`--proxy-port=${String(kept()['proxyPort'])}`).toBe(proxy)
  expect(await home.daemon(['restart', '--proxy-port=443'])).toMatchObject({ exitCode: 0 })
  expect(kept()).toMatchObject({ proxyPort: 443 })
  // It starts ACME by them.
  const acme = `--acme-port=${await freePort()}`
  expect(await home.daemon(['restart', acme])).toMatchObject({ exitCode: 0 })
})

test('options for a daemon that runs are checked, and those that it does not have are said', async () => {
  const home = await openDaemonHome()
  expect(await home.daemon(['start', ...noPorts])).toMatchObject({ exitCode: 0 })
  const { pid } = home.runFile()
  for (const wrong of ['--acme-port=99999', '--dns-resolver=ns.example', '--acme-host=localhost.'])
    expect(await home.daemon(['start', wrong])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringMatching(/^Error: --/),
    })
  const same = await home.daemon(['start', ...noPorts, '--no-allow-remote'])
  expect(same).toMatchObject({ exitCode: 0, stderr: 'The daemon runs already.\n' })
  const other = ['start', '--acme-port=14600', '--dns-resolver=127.0.0.1:5353', '--allow-remote']
  expect(await home.daemon(other)).toMatchObject({
    exitCode: 0,
    stderr: `Warning: The daemon runs already, with --acme-port 0 --dns-resolver system --no-allow-remote, which stays so. To restart it as asked: ROOTLING_HOME=${home.state} rootling daemon restart --acme-port 14600 --dns-resolver 127.0.0.1:5353 --allow-remote\n`,
  })
  expect(home.runFile().pid).toBe(pid)
})

test('what is no resolver is refused while the daemon still runs, and nothing is kept of it', async () => {
  const home = await openDaemonHome()
  expect(await home.daemon(['start', ...noPorts])).toMatchObject({ exitCode: 0 })
  const { pid } = home.runFile()
  for (const [value, said] of [
    ['ns.example', 'ns.example is'],
    ['127.0.0.1:x', '127.0.0.1:x is'],
    ['', 'without a value is'],
  ])
    expect(await home.daemon(['restart', '--allow-remote', '--dns-resolver', value ?? ''])).toEqual(
      {
        exitCode: 2,
        stdout: '',
        stderr: `Error: --dns-resolver ${said} not the address of a resolver.\n  → --dns-resolver 127.0.0.1:53; --dns-resolver system: none, and no dns-01\n`,
      },
    )
  const both = await home.daemon(['restart', '--allow-remote', '--no-allow-remote'])
  expect(both).toMatchObject({ exitCode: 2, stderr: expect.stringContaining('exclude each other') })
  expect(home.runFile().pid).toBe(pid)
  expect(readFileSync(join(home.state, 'daemon.json'), 'utf8')).toContain('"allowRemote": false')
})
