import type { X509Certificate } from 'node:crypto'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { KeyPair } from '../../src/server/key-pair.ts'
import { renewingPair, type RenewingPairOptions } from '../../src/server/renewing.ts'

const minute = 60_000
const LIFETIME = 300 * minute

function pairFrom(notBefore: number, lifetime = LIFETIME): KeyPair {
  const leaf = {
    validFrom: new Date(notBefore).toISOString(),
    validTo: new Date(notBefore + lifetime).toISOString(),
  } as X509Certificate
  return { cert: '', key: '', leaf, chain: [leaf], warnings: [] }
}

async function harness(options: Partial<RenewingPairOptions> = {}) {
  const clock = { now: Date.parse('2030-01-01T00:00:00Z') }
  const issue = vi.fn<() => Promise<KeyPair>>(async () => pairFrom(clock.now))
  const onRenewed = vi.fn<(pair: KeyPair) => void>()
  const onFailed = vi.fn<(error: unknown, nextAttempt: Date) => void>()
  const now = () => new Date(clock.now)
  const renewing = await renewingPair({ issue, now, onRenewed, onFailed, ...options })
  onTestFinished(() => renewing.stop())
  return { clock, issue, onRenewed, onFailed, renewing }
}

test('renews at two thirds of the lifetime and not before', async () => {
  const { clock, issue, onRenewed, renewing } = await harness()
  const first = renewing.current()
  clock.now += (LIFETIME * 2) / 3 - 1
  await renewing.check()
  expect(renewing.current()).toBe(first)
  clock.now += 1
  await Promise.all([renewing.check(), renewing.check()])
  expect(issue).toHaveBeenCalledTimes(2)
  expect(onRenewed).toHaveBeenCalledExactlyOnceWith(renewing.current())
  expect(renewing.current()).not.toBe(first)
})

test('serves the old pair while issuing fails, waits longer each time, and recovers', async () => {
  const { clock, issue, onFailed, renewing } = await harness()
  const first = renewing.current()
  issue.mockRejectedValue(new Error('no issuer'))
  clock.now += LIFETIME * 0.9
  const delays: number[] = []
  for (let attempt = 0; attempt < 8; attempt += 1) {
    await renewing.check()
    await renewing.check()
    const next = onFailed.mock.lastCall?.[1] ?? new Date(0)
    delays.push((next.getTime() - clock.now) / minute)
    clock.now = next.getTime()
  }
  expect(onFailed).toHaveBeenCalledTimes(8)
  expect(delays).toEqual([1, 2, 4, 8, 16, 32, 60, 60])
  expect(renewing.current()).toBe(first)
  issue.mockImplementation(async () => pairFrom(clock.now))
  await renewing.check()
  expect(renewing.current()).not.toBe(first)
})

test('retries at once when the clock was set back far', async () => {
  const { clock, issue, onFailed, renewing } = await harness({})
  issue.mockRejectedValue(new Error('no issuer'))
  clock.now += LIFETIME * 3
  await renewing.check()
  clock.now -= LIFETIME * 2
  await renewing.check()
  expect(onFailed).toHaveBeenCalledTimes(2)
})

test('renews what is revoked, and serves it where that cannot be found out', async () => {
  const revoked = new Set<string>()
  const isRevoked = vi.fn<(serialNumber: string) => Promise<boolean>>(async (serialNumber) =>
    revoked.has(serialNumber),
  )
  let serial = 10
  const issue = async (): Promise<KeyPair> => {
    const pair = pairFrom(Date.parse('2030-01-01T00:00:00Z'))
    const serialNumber = String(serial++)
    const { validFrom, validTo } = pair.leaf
    const leaf = { validFrom, validTo, serialNumber } as X509Certificate
    return { ...pair, cert: serialNumber, leaf }
  }
  const { renewing, onRenewed } = await harness({ issue, isRevoked })
  await renewing.check()
  expect(renewing.current().cert).toBe('10')
  revoked.add('10')
  isRevoked.mockRejectedValueOnce(new Error('the record is unreadable'))
  await renewing.check()
  expect(renewing.current().cert).toBe('10')
  await renewing.check()
  await renewing.check()
  expect(renewing.current().cert).toBe('11')
  expect(onRenewed).toHaveBeenCalledTimes(1)
})

test('does not ask again at once when a new pair is due already', async () => {
  const { clock, issue, renewing } = await harness()
  clock.now += LIFETIME
  issue.mockImplementation(async () => pairFrom(clock.now - LIFETIME))
  await renewing.check()
  await renewing.check()
  expect(issue).toHaveBeenCalledTimes(2)
  clock.now += minute
  await renewing.check()
  expect(issue).toHaveBeenCalledTimes(3)
})

test('checks by itself until it is stopped', async () => {
  const { clock, issue, renewing } = await harness({ checkMilliseconds: 5 })
  clock.now += LIFETIME
  await expect.poll(() => issue.mock.calls.length).toBe(2)
  renewing.stop()
  clock.now += LIFETIME
  await renewing.check()
  expect(issue).toHaveBeenCalledTimes(2)
})

test('rejects when the first pair cannot be issued', async () => {
  const issue = async (): Promise<KeyPair> => {
    throw new Error('no authority')
  }
  await expect(renewingPair({ issue, now: () => new Date() })).rejects.toThrow('no authority')
})

test('asks anew when the issuers have changed, and keeps what is still the same', async () => {
  let stamp = 'one'
  const { issue, onRenewed, onFailed, renewing, clock } = await harness({
    issuersStamp: async () => stamp,
  })
  const first = renewing.current()
  await renewing.check()
  expect(issue).toHaveBeenCalledTimes(1)
  stamp = 'two'
  await renewing.check()
  await renewing.check()
  expect(issue).toHaveBeenCalledTimes(2)
  expect([renewing.current(), onRenewed.mock.calls]).toEqual([first, []])

  stamp = 'three'
  issue.mockRejectedValueOnce(new Error('no issuer'))
  await renewing.check()
  expect(onFailed).toHaveBeenCalledTimes(1)
  // A change is no failure's retry: it does not wait for its minute.
  stamp = 'four'
  issue.mockResolvedValueOnce({ ...pairFrom(clock.now), cert: 'of another issuer' })
  await renewing.check()
  expect(onRenewed).toHaveBeenCalledExactlyOnceWith(renewing.current())
  expect(renewing.current().cert).toBe('of another issuer')
})
