import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { rolldown } from 'rolldown'
import { expect, onTestFinished, test } from 'vitest'
import { runRenewHooks } from '../../src/certificates/renew-hooks.ts'
import type { CertificateRecord } from '../../src/storage/records.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

const renewed = (command: string) => [{ onRenew: command } as CertificateRecord]

test('a command may run as long as the record of its certificate says', async () => {
  const env = { PATH: process.env['PATH'] }
  const short = { onRenew: 'sleep 30', onRenewSeconds: 1 } as CertificateRecord
  expect(await runRenewHooks([short], { env, owner: null })).toEqual([
    { command: 'sleep 30', failure: 'was stopped after 1 seconds.' },
  ])
  // Of two certificates with one command, the more patient counts.
  const twice = [
    { onRenew: 'sleep 2', onRenewSeconds: 1 } as CertificateRecord,
    { onRenew: 'sleep 2', onRenewSeconds: 60 } as CertificateRecord,
  ]
  expect(await runRenewHooks(twice, { env, owner: null })).toEqual([
    { command: 'sleep 2', failure: null },
  ])
})

function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

const pidIn = (path: string): number | null =>
  existsSync(path) && /^\d+\n$/.test(readFileSync(path, 'utf8'))
    ? Number(readFileSync(path, 'utf8'))
    : null

/** Starts a process that runs one hook: the process can be killed, and has a umask of its own. */
async function startRunner(command: string, { limit = 60_000, umask = 0o022 } = {}) {
  const source = join(import.meta.dirname, '../../src/certificates/renew-hooks.ts')
  const bundle = await rolldown({ input: source, platform: 'node' })
  const file = join(await temporaryDirectory(), 'hooks.mjs')
  await bundle.write({ file, format: 'esm' })
  await bundle.close()
  const script = `import { runRenewHooks } from ${JSON.stringify(file)}
    process.umask(${umask})
    const options = { env: process.env, timeLimitMilliseconds: ${limit} }
    await runRenewHooks([{ onRenew: ${JSON.stringify(command)} }], options)`
  return spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' })
}

test.each(['SIGKILL', 'SIGINT'] as const)(
  'a hook ends with its time limit also when %s has ended the process that ran it',
  async (signal) => {
    const directory = await temporaryDirectory()
    const [pidFile, childFile] = [join(directory, 'pid'), join(directory, 'child')]
    // Both ignore SIGTERM, so that only SIGKILL ends them.
    const command = `trap '' TERM; echo $$ > ${pidFile}; sleep 1000 & echo $! > ${childFile}; wait`
    const runner = await startRunner(command, { limit: 3_000 })
    const hook = await waitFor('the hook', () => pidIn(pidFile))
    const child = await waitFor('its child', () => pidIn(childFile))
    onTestFinished(() => {
      for (const pid of [hook, child]) if (isRunning(pid)) process.kill(pid, 'SIGKILL')
    })
    const ended = once(runner, 'exit')
    runner.kill(signal)
    await ended
    expect([hook, child].map(isRunning)).toEqual([true, true])
    await waitFor('the end of both', () => (isRunning(hook) || isRunning(child) ? null : true))
  },
)

test('a hook that waits for its children does not wait for the watchdog', async () => {
  const command = 'sleep 0.1 & wait; test -z "$(jobs)"'
  const outcomes = await runRenewHooks(renewed(command), { env: process.env, owner: null })
  expect(outcomes).toEqual([{ command, failure: null }])
})

test('a hook that is stopped at its time limit is gone, its children too', async () => {
  const file = join(await temporaryDirectory(), 'child')
  const command = `trap '' TERM; sleep 1000 & echo $! > ${file}; wait`
  const options = { env: process.env, owner: null, timeLimitMilliseconds: 500 }
  expect(await runRenewHooks(renewed(command), options)).toEqual([
    { command, failure: expect.stringContaining('was stopped after 0.5 seconds') },
  ])
  const child = await waitFor('the child', () => pidIn(file))
  // The kernel may need a moment to take the killed process away.
  await waitFor('the child to be gone', () => (isRunning(child) ? null : true))
})

test('a hook that ends in time leaves no watchdog, and its exit code is told', async () => {
  const directory = await temporaryDirectory()
  const file = join(directory, 'group')
  const command = `ps -o pgid= -p $$ | tr -d ' ' > ${file}; echo why >&2; exit 7`
  const outcomes = await runRenewHooks(renewed(command), { env: process.env, owner: null })
  expect(outcomes).toEqual([{ command, failure: 'failed with exit code 7. why' }])
  const group = await waitFor('the group', () => pidIn(file))
  await waitFor('an empty group', () => {
    try {
      process.kill(-group, 0)
      return null
    } catch {
      return true
    }
  })
})

test('a hook’s own quotes, variables and pipes mean what they mean to a shell', async () => {
  const directory = await temporaryDirectory()
  const file = join(directory, 'said')
  const command = `a='x  "y"'; printf '%s|%s|%s' "$a" "$#" "$0" | cat > ${file}`
  expect(
    (await runRenewHooks(renewed(command), { env: process.env, owner: null }))[0]?.failure,
  ).toBeNull()
  expect(readFileSync(file, 'utf8')).toBe('x  "y"|0|/bin/sh')
})

test.each([
  ['000', '600'],
  ['002', '664'],
  ['022', '644'],
  ['077', '600'],
])('under a umask of %s a hook makes files of mode %s', async (umask, mode) => {
  const file = join(await temporaryDirectory(), 'made')
  const runner = await startRunner(`echo x > ${file}`, { umask: Number.parseInt(umask, 8) })
  expect(await once(runner, 'exit')).toEqual([0, null])
  expect((statSync(file).mode & 0o777).toString(8)).toBe(mode)
})
