import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { AcmeAuthority } from '../../src/acme/acme-authority.ts'
import { renewalInfo } from '../../src/acme/renewal-info.ts'

const day = 86_400_000
const notBefore = new Date(Math.floor(Date.now() / 1000) * 1000)

/** What is told of certificates that were issued in the same second, for so many days. */
async function told(certIds: readonly string[], days: number) {
  const validity = { notBefore, notAfter: new Date(notBefore.getTime() + days * day) }
  const found = { validity, isRevoked: false, currentIssuer: 'aa' }
  const authority = { find: () => Promise.resolve(found) } as unknown as AcmeAuthority
  const answers = certIds.map((certId) => renewalInfo({ authority, now: () => new Date() }, certId))
  return (await Promise.all(answers)).map(({ body, headers }) => {
    const { suggestedWindow } = body as { suggestedWindow: { start: string; end: string } }
    const share = (time: string) => (Date.parse(time) - notBefore.getTime()) / (days * day)
    return {
      start: share(suggestedWindow.start),
      end: share(suggestedWindow.end),
      askAgain: Number(headers?.['Retry-After']),
    }
  })
}

const newCertId = (): string => `qg.${randomBytes(16).fill(1, 0, 1).toString('base64url')}`

/** The most of these numbers in one of ten equal parts of a range. */
const crowdOf = (numbers: readonly number[], from: number, to: number): number => {
  const parts = numbers.map((one) => Math.floor((10 * (one - from)) / (to - from)))
  return Math.max(...Array.from({ length: 10 }, (_, i) => parts.filter((one) => one === i).length))
}

test.each([1, 90])('of many certificates for %i days spreads in the last third', async (days) => {
  const answers = await told(Array.from({ length: 1000 }, newCertId), days)
  for (const { start, end, askAgain } of answers) {
    expect(start).toBeGreaterThan(0.6666)
    expect(end - start).toBeCloseTo(1 / 12, 3)
    expect(end).toBeLessThan(0.8334)
    expect(Number.isInteger(askAgain)).toBe(true)
    expect(askAgain).toBeGreaterThanOrEqual(5 * 3600)
    expect(askAgain).toBeLessThan(7 * 3600)
  }
  // A tenth of each is 100.
  const starts = answers.map(({ start }) => start)
  expect(crowdOf(starts, 2 / 3, 3 / 4)).toBeLessThan(160)
  const polls = answers.map(({ askAgain }) => askAgain)
  expect(crowdOf(polls, 5 * 3600, 7 * 3600)).toBeLessThan(160)
})

test('of one certificate is the same whenever a client asks', async () => {
  const certId = newCertId()
  const [first, second] = await told([certId, certId], 90)
  expect(second).toEqual(first)
})
