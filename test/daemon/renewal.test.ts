import { createPrivateKey } from 'node:crypto'
import { chmod, cp, mkdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { permitScope } from '../../src/authority/create.ts'
import { forgetScope } from '../../src/authority/delete.ts'
import { renew } from '../../src/certificates/renew.ts'
import { revoke } from '../../src/certificates/revoke.ts'
import { readFailures } from '../../src/daemon/renewal-failures.ts'
import { withLock } from '../../src/files/lock.ts'
import { readRecord } from '../../src/storage/files/record.ts'
import { waitFor } from '../helpers/subprocess.ts'
import { day, isValid, minute, renewalWorld } from './renewal-world.ts'
import { fileStorage } from '../../src/storage/files/storage.ts'

test('a certificate is renewed when it is due and not before; its key stays', async () => {
  const { issue, jump, leaf, loop, lines, path, now } = await renewalWorld()
  const { serialNumber, notAfter } = await issue('shop.test')
  const key = await readFile(path('shop.test-key.pem'), 'utf8')
  const { check, nextDue } = await loop()
  const due = Date.parse(nextDue() ?? '')
  expect(Math.round((Date.parse(notAfter) - due) / day)).toBe(30)
  jump(due - now().getTime() - 1)
  await check()
  expect((await leaf('shop.test')).serialNumber.toLowerCase()).toBe(serialNumber)
  expect(lines).toEqual([])
  jump(1)
  await check()
  const renewed = await leaf('shop.test')
  expect(renewed.serialNumber.toLowerCase()).not.toBe(serialNumber)
  expect(renewed.checkPrivateKey(createPrivateKey(key))).toBe(true)
  expect(await readFile(path('shop.test-key.pem'), 'utf8')).toBe(key)
  expect(lines).toEqual([expect.stringMatching(/^renewed shop\.test until 2027-\S+Z in .+\.pem$/)])
  expect(Date.parse(nextDue() ?? '')).toBeGreaterThan(now().getTime() + 59 * day)
})

test('a stop does not wait for a lock that another process holds', async () => {
  const { issue, jump, loop, state } = await renewalWorld()
  await issue('shop.test')
  const { check, stop } = await loop()
  jump(61 * day)
  await withLock(state, async () => {
    const checked = check()
    await sleep(100)
    const began = performance.now()
    await stop()
    expect(performance.now() - began).toBeLessThan(10_000)
    void checked
  })
})

test('a certificate that is issued while the daemon runs is renewed too', async () => {
  const { issue, jump, leaf, loop } = await renewalWorld()
  const { check, nextDue } = await loop()
  expect(nextDue()).toBeNull()
  const { serialNumber } = await issue('late.test')
  await check()
  expect(nextDue()).not.toBeNull()
  jump(61 * day)
  await check()
  expect((await leaf('late.test')).serialNumber.toLowerCase()).not.toBe(serialNumber)
})

test.each([
  ['a day', 1],
  ['a year', 365],
])('the timer itself notices that the clock jumped %s ahead, and back', async (_, days) => {
  const { issue, jump, leaf, loop, now } = await renewalWorld()
  await issue('shop.test')
  jump(59.5 * day)
  await loop({ checkMilliseconds: 10 })
  for (const jumped of [days, -days, 365]) {
    const { serialNumber } = await leaf('shop.test')
    jump(jumped * day)
    const renewed = await waitFor('the renewal', async () => {
      const current = await leaf('shop.test')
      return current.serialNumber === serialNumber ? null : current
    })
    expect(isValid(renewed, now())).toBe(true)
  }
})

test('an attempt that a clock set back puts far away is made at once', async () => {
  const { issue, jump, leaf, loop, path, now } = await renewalWorld()
  jump(61 * day)
  await issue('shop.test')
  jump(365 * day)
  await rename(path('shop.test-key.pem'), path('aside'))
  const { check, failures } = await loop()
  await check()
  expect(failures()).toMatchObject([{ names: ['shop.test'], failures: 1 }])
  await rename(path('aside'), path('shop.test-key.pem'))
  jump(-300 * day)
  await check()
  expect(failures()).toEqual([])
  expect(isValid(await leaf('shop.test'), now())).toBe(true)
})

test('what fails is tried again after 1, 2, 4, … minutes, at most an hour, and after a restart too', async () => {
  const { issue, jump, leaf, loop, path, state, now } = await renewalWorld()
  const { serialNumber } = await issue('shop.test')
  await rename(path('shop.test-key.pem'), path('aside'))
  jump(61 * day)
  const first = await loop()
  await first.check()
  let { check, failures, stop, nextDue } = first
  for (const [i, minutes] of [1, 2, 4, 8, 16, 32, 60, 60].entries()) {
    const nextAttempt = new Date(now().getTime() + minutes * minute).toISOString()
    expect(failures()).toMatchObject([{ serialNumber, failures: i + 1, nextAttempt }])
    expect(nextDue()).toBe(nextAttempt)
    expect(await readFailures(state)).toEqual(failures())
    jump(minutes * minute - 1)
    await check()
    expect(failures()).toMatchObject([{ failures: i + 1 }])
    jump(1)
    if (i === 4) {
      await stop()
      ;({ check, failures, stop, nextDue } = await loop())
    }
    await check()
  }
  await rename(path('aside'), path('shop.test-key.pem'))
  jump(60 * minute)
  await check()
  expect(failures()).toEqual([])
  expect(await readFailures(state)).toEqual([])
  expect((await leaf('shop.test')).serialNumber.toLowerCase()).not.toBe(serialNumber)
})

test('what somebody changed or deleted is told with what to do, and left alone; the others are renewed', async () => {
  const { issue, jump, leaf, loop, lines, path } = await renewalWorld()
  for (const name of ['a', 'changed', 'gone', 'keyless', 'rekeyed', 'z'])
    await issue(`${name}.test`)
  const serialOf = async (name: string) => (await leaf(name)).serialNumber
  const before = { a: await serialOf('a.test'), z: await serialOf('z.test') }
  await cp(path('a.test.pem'), path('changed.test.pem'))
  await rename(path('gone.test.pem'), path('aside'))
  await rm(path('keyless.test-key.pem'))
  await cp(path('a.test-key.pem'), path('rekeyed.test-key.pem'))
  const untouched = [
    'changed.test.pem',
    'keyless.test.pem',
    'rekeyed.test.pem',
    'rekeyed.test-key.pem',
  ]
  const contents = () => Promise.all(untouched.map((name) => readFile(path(name), 'utf8')))
  const stood = await contents()
  jump(61 * day)
  const { check, failures } = await loop()
  await check()
  expect(await contents()).toEqual(stood)
  for (const file of ['gone.test.pem', 'keyless.test-key.pem'])
    await expect(readFile(path(file))).rejects.toMatchObject({ code: 'ENOENT' })
  expect(await serialOf('a.test')).not.toBe(before.a)
  expect(await serialOf('z.test')).not.toBe(before.z)
  const issueInto = (name: string): string =>
    `rootling issue ${name} --cert-file ${path(`${name}.pem`)} --key-file ${path(`${name}-key.pem`)}`
  const told = failures().map(({ names, reason, hint }) => [names.join(), reason, hint])
  expect(told).toEqual([
    [
      'changed.test',
      `${path('changed.test.pem')} was changed by something else since.`,
      `To replace it: ${issueInto('changed.test')} --force`,
    ],
    [
      'gone.test',
      `${path('gone.test.pem')} is gone.`,
      `To make it anew: ${issueInto('gone.test')}`,
    ],
    [
      'keyless.test',
      `${path('keyless.test-key.pem')} is gone.`,
      expect.stringMatching(/^rootling renew [0-9a-f]{32} --rekey$/),
    ],
    [
      'rekeyed.test',
      `${path('rekeyed.test-key.pem')} holds another key than the certificate's.`,
      `To replace it: ${issueInto('rekeyed.test')} --force`,
    ],
  ])
  for (const [name, reason] of told)
    expect(lines.join('\n')).toContain(
      `could not renew ${String(name)}: ${String(reason)} Next try`,
    )

  // Each cause goes: by a restored file, by the hint, by a new certificate.
  await rename(path('aside'), path('gone.test.pem'))
  await issue('changed.test', { force: true })
  await issue('rekeyed.test', { force: true })
  jump(minute)
  await check()
  expect(failures().map(({ names }) => names.join())).toEqual(['keyless.test'])
})

test('a key that is encrypted stays as it is', async () => {
  const { issue, jump, loop, path, leaf } = await renewalWorld()
  const { serialNumber } = await issue('shop.test', { keyPassphrase: 'open sesame' })
  const key = await readFile(path('shop.test-key.pem'), 'utf8')
  jump(61 * day)
  const { check, failures } = await loop()
  await check()
  expect(failures()).toEqual([])
  expect(key).toContain('ENCRYPTED')
  expect(await readFile(path('shop.test-key.pem'), 'utf8')).toBe(key)
  expect((await leaf('shop.test')).serialNumber.toLowerCase()).not.toBe(serialNumber)
})

test('what was revoked, or whose scope was forgotten, is not renewed and is no failure', async () => {
  const { issue, jump, loop, lines, state, now, path } = await renewalWorld()
  const { scope } = await permitScope(state, { permit: ['dev.example.com'], name: 'work' }, now())
  const revoked = await issue('revoked.test')
  const failing = await issue('failing.test')
  const forgotten = await issue('app.dev.example.com')
  expect([scope.name, forgotten.scope]).toEqual(['work', 'work'])
  await rm(path('failing.test-key.pem'))
  await revoke(fileStorage(state), { target: revoked.serialNumber, now: now() })
  await forgetScope(state, 'work')
  jump(61 * day)
  const { check, failures, nextDue } = await loop()
  await check()
  expect(failures().map(({ names }) => names.join())).toEqual(['failing.test'])
  // A failure goes with its certificate.
  await revoke(fileStorage(state), { target: failing.serialNumber, now: now() })
  await check()
  expect([failures(), nextDue(), await readFailures(state)]).toEqual([[], null, []])
  expect(lines).toHaveLength(1)
  expect(await readRecord(state)).toHaveLength(3)
})

test('what the command line renewed or rekeyed meanwhile fails no more', async () => {
  const { issue, jump, loop, state, now, path } = await renewalWorld()
  const { serialNumber } = await issue('shop.test')
  await rm(path('shop.test-key.pem'))
  jump(61 * day)
  const { check, failures } = await loop()
  await check()
  expect(failures()).toHaveLength(1)
  const selection = { which: 'named', names: [serialNumber] } as const
  const [renewal] = await renew(state, selection, { rekey: true }, now())
  expect(renewal?.outcome).toBe('renewed')
  await check()
  expect([failures(), await readFailures(state)]).toEqual([[], []])
})

test('several that renew at once renew each certificate once, and lose none', async () => {
  const { issue, jump, loop, state, now, leaf } = await renewalWorld()
  const names = ['a', 'b', 'c', 'd', 'e', 'f'].map((letter) => `${letter}.test`)
  for (const name of names) await issue(name)
  jump(61 * day)
  const { check, failures } = await loop()
  const others = Array.from({ length: 3 }, () => renew(state, { which: 'due' }, {}, now()))
  const [, ...results] = await Promise.all([check(), ...others])
  const record = await readRecord(state)
  expect(record).toHaveLength(2 * names.length)
  expect(failures()).toEqual([])
  for (const { outcome, record: made } of results.flat())
    expect([outcome, made === undefined]).toEqual([outcome === 'failed' ? '' : outcome, false])
  const current = new Map(record.map((one) => [one.identifiers[0]?.value, one.serialNumber]))
  for (const name of names)
    expect((await leaf(name)).serialNumber.toLowerCase()).toBe(current.get(name))
})

test('a damaged line is told once, and keeps nothing else from being renewed', async () => {
  const { issue, jump, loop, lines, state } = await renewalWorld()
  await issue('shop.test')
  const { check } = await loop()
  const path = `${state.path}/certificates.jsonl`
  await writeFile(path, `damaged\n${await readFile(path, 'utf8')}`)
  jump(61 * day)
  for (let i = 0; i < 3; i++) await check()
  expect(lines).toEqual([
    expect.stringMatching(/^renewal: Line 1 of the record .+ is damaged\. It was skipped\. .+$/),
    expect.stringMatching(/^renewed shop\.test/),
  ])
})

test('a record that cannot be read is told once, and not every minute', async () => {
  const { issue, jump, loop, lines, state } = await renewalWorld()
  await issue('shop.test')
  const { check } = await loop()
  const path = `${state.path}/certificates.jsonl`
  const whole = await readFile(path, 'utf8')
  await rm(path)
  await mkdir(path)
  jump(61 * day)
  for (let i = 0; i < 3; i++) await check()
  expect(lines).toEqual([expect.stringMatching(/^renewal: .+certificates\.jsonl.+\.$/)])
  await rmdir(path)
  await writeFile(path, whole)
  await check()
  expect(lines.at(-1)).toMatch(/^renewed shop\.test/)
})

test.skipIf(process.platform === 'win32')(
  'a record that others can write to renews nothing until its mode is mended',
  async () => {
    const { issue, jump, loop, lines, state } = await renewalWorld()
    await issue('shop.test')
    const { check } = await loop()
    const path = `${state.path}/certificates.jsonl`
    jump(61 * day)
    await chmod(path, 0o666)
    for (let i = 0; i < 3; i++) await check()
    expect(lines).toEqual([
      expect.stringContaining(`renewal: Others can write to the record ${path}`),
    ])
    await chmod(path, 0o600)
    await check()
    expect(lines.at(-1)).toMatch(/^renewed shop\.test/)
  },
)
