import { chmodSync, chownSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { askDaemon } from '../../src/daemon/control-client.ts'
import type { DaemonStatus } from '../../src/daemon/daemon.ts'
import { command } from '../helpers/built.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { killGroup, run, start, waitFor } from '../helpers/subprocess.ts'
import { noPorts, openDaemonHome } from './daemon-home.ts'
import { day, minute } from './renewal-world.ts'

/** Node's clock, moved by what a file says; for processes that `NODE_OPTIONS` reaches. */
const clockScript = `
const { readFileSync } = require('node:fs')
const Real = Date
const now = () => Real.now() + Number(readFileSync(process.env.CLOCK_FILE, 'utf8'))
globalThis.Date = class extends Real {
  constructor(...args) {
    if (args.length === 0) super(now())
    else super(...args)
  }
  static now() {
    return now()
  }
}`

/** The built daemon, with a clock that the test sets. */
async function daemonWithClock() {
  const home = await openDaemonHome()
  const path = (name: string): string => join(home.directory, name)
  writeFileSync(path('clock.cjs'), clockScript)
  const set = (milliseconds: number): void => writeFileSync(path('clock'), `${milliseconds}`)
  set(0)
  const env = { NODE_OPTIONS: `--require=${path('clock.cjs')}`, CLOCK_FILE: path('clock') }
  const state = { path: home.state, owner: null }
  return {
    ...home,
    path,
    set,
    /** At the daemon's time. */
    rootling: (args: readonly string[]) => home.rootling(args, { env }),
    start: () => home.daemon(['start', ...noPorts], { env }),
    /** What its timer does once a minute. */
    check: () => askDaemon<DaemonStatus>(state, 'renew', 600_000),
    leaf: (name: string) => new X509Certificate(readFileSync(path(`${name}.pem`))),
  }
}

test('the daemon renews what is due and runs its command, ahead by a year and back by a year', async () => {
  const { rootling, start, check, set, path, leaf, log } = await daemonWithClock()
  await rootling(['issue', 'shop.test', '--days=90', '--on-renew', `echo ran >> ${path('ran')}`])
  expect(await start()).toMatchObject({ exitCode: 0 })
  let { serialNumber } = leaf('shop.test')
  await check()
  expect(leaf('shop.test').serialNumber).toBe(serialNumber)
  for (const [i, days] of [61, 61 + 365, 61].entries()) {
    set(days * day)
    expect(await check()).toMatchObject({ failures: [] })
    const renewed = leaf('shop.test')
    expect(renewed.serialNumber).not.toBe(serialNumber)
    expect(Date.parse(renewed.validFrom)).toBeLessThan(Date.now() + days * day)
    expect(Date.parse(renewed.validTo)).toBeGreaterThan(Date.now() + (days + 80) * day)
    expect(readFileSync(path('ran'), 'utf8')).toBe('ran\n'.repeat(i + 1))
    ;({ serialNumber } = renewed)
  }
  expect(log().match(/renewed shop\.test until/g)).toHaveLength(3)
  expect(log().match(new RegExp(`ran echo ran >> ${path('ran')}\n`, 'g'))).toHaveLength(3)
})

test('daemon status and list tell a failure with what to do, until it succeeds', async () => {
  const { rootling, start, check, set, path, daemon } = await daemonWithClock()
  await rootling(['issue', 'shop.test', '--days=90'])
  rmSync(path('shop.test-key.pem'))
  await start()
  set(61 * day)
  await check()
  const line =
    /shop\.test could not be renewed: \S+key\.pem is gone\. → ROOTLING_HOME=\S+ (rootling renew [0-9a-f]{32} --rekey)/
  expect((await daemon(['status'])).stdout).toMatch(/^FAILED +shop\.test could not be renewed/m)
  const listed = await rootling(['list'])
  expect([listed.exitCode, listed.stderr]).toEqual([0, expect.stringMatching(line)])
  expect(listed.stderr.trimEnd().split('\n')).toHaveLength(1)
  const json = JSON.parse((await rootling(['list', '--json'])).stdout) as {
    certificates: { names: string[]; failure?: object }[]
    warnings: string[]
  }
  const of = (name: string) => json.certificates.find(({ names }) => names.includes(name))
  expect(of('shop.test')?.failure).toEqual({
    reason: `${path('shop.test-key.pem')} is gone.`,
    hint: expect.stringMatching(/^ROOTLING_HOME=\S+ rootling renew/),
    failures: 1,
    nextAttempt: expect.stringMatching(/Z$/),
  })
  expect(json.certificates.filter(({ failure }) => failure !== undefined)).toHaveLength(1)
  expect(json.warnings).toEqual([expect.stringMatching(line)])

  // What to do, done.
  const words = line.exec(listed.stderr)?.[1]?.split(' ').slice(1) ?? []
  expect(await rootling(words)).toMatchObject({ exitCode: 0 })
  expect((await rootling(['list'])).stderr).toBe('')
  expect(await check()).toMatchObject({ failures: [] })
  expect((await daemon(['status'])).stdout).not.toContain('FAILED')
})

test('the daemon and rootling renew, at once and often, renew each certificate once', async () => {
  const { rootling, start, check, set, path, state, json } = await daemonWithClock()
  const names = ['a.test', 'b.test', 'c.test', 'd.test', 'e.test', 'f.test']
  for (const name of names)
    await rootling(['issue', name, '--days=90', '--on-renew', `echo ${name} >> ${path('ran')}`])
  await start()
  set(61 * day)
  const commands = await Promise.all([
    rootling(['renew', '--due']),
    rootling(['renew', ...names]),
    rootling(['renew', '--due', '--json']),
    check(),
  ])
  for (const one of commands.slice(0, 3)) expect(one).toMatchObject({ exitCode: 0 })
  expect(await check()).toMatchObject({ failures: [] })
  const lines = readFileSync(join(state, 'certificates.jsonl'), 'utf8').trimEnd().split('\n')
  const ran = readFileSync(path('ran'), 'utf8').trimEnd().split('\n')
  const { certificates } = (await json(['list'])).value as {
    certificates: { names: string[]; serialNumber: string; certPath: string }[]
  }
  for (const name of names) {
    const made = lines.filter((line) => line.includes(`"value":"${name}"`)).length
    // `renew NAME` renews even what was renewed a moment ago; nothing else does.
    expect([2, 3]).toContain(made)
    expect(ran.filter((line) => line === name)).toHaveLength(made - 1)
    const listed = certificates.find((one) => one.names[0] === name)
    const inFile = new X509Certificate(readFileSync(listed?.certPath ?? ''))
    expect(inFile.serialNumber.toLowerCase()).toBe(listed?.serialNumber)
  }
})

const isRoot = process.getuid?.() === 0

test('a directory that the daemon may not write to is told, the others are renewed, and once it may it does', async () => {
  const { path, set, directory, state } = await daemonWithClock()
  const env = scrubbedEnvironment(directory, {
    ROOTLING_HOME: state,
    NODE_OPTIONS: `--require=${path('clock.cjs')}`,
    CLOCK_FILE: path('clock'),
  })
  // Nobody may forbid root to write, so there the daemon is another user's.
  const as = isRoot ? ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'] : []
  const words = (args: readonly string[]) => [...as, process.execPath, command, ...args]
  const rootling = (args: readonly string[]) => run('env', words(args), env)
  if (isRoot) await run('chown', ['-R', '65534:65534', directory], env)
  for (const name of ['closed.test', 'open.test']) {
    const files = [`--out-dir=${path(name)}`, '--days=90']
    await run('env', [...as, 'mkdir', path(name)], env)
    expect(await rootling(['issue', name, ...files])).toMatchObject({ exitCode: 0 })
  }
  const leaf = (name: string) => readFileSync(path(`${name}/${name}.pem`), 'utf8')
  const before = [leaf('closed.test'), leaf('open.test')]
  chmodSync(path('closed.test'), 0o555)
  if (isRoot) chownSync(path('closed.test'), 0, 0)
  set(61 * day)
  const program = start('env', words(['daemon', 'run', ...noPorts]), env)
  onTestFinished(() => killGroup(program))
  let said = ''
  program.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  for (const words of ['could not renew closed.test', 'renewed open.test'])
    await waitFor(words, () => (said.includes(words) ? true : null))
  expect(leaf('closed.test')).toBe(before[0])
  expect(leaf('open.test')).not.toBe(before[1])
  const listed = await rootling(['list'])
  expect(listed.stderr).toMatch(
    /closed\.test could not be renewed: .+ could not be written: permission is denied\. → Choose another directory, or check who owns/,
  )
  expect(listed.stderr.trimEnd().split('\n')).toHaveLength(1)

  chmodSync(path('closed.test'), 0o777)
  set(61 * day + minute)
  const owner = isRoot ? { uid: 65_534, gid: 65_534 } : null
  expect(await askDaemon({ path: state, owner }, 'renew')).toMatchObject({ failures: [] })
  expect(leaf('closed.test')).not.toBe(before[0])
  expect((await rootling(['list'])).stderr).toBe('')
})
