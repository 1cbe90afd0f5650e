import { expect, test } from 'vitest'
import { randomOctets } from '../../src/acme/random.ts'

test('random octets are as many as were asked for, up to 64, and none are given twice', () => {
  const seen = new Set<string>()
  for (let i = 0; i < 1_000; i++) {
    const octets = randomOctets(i % 2 === 0 ? 64 : 17)
    expect(octets).toHaveLength(i % 2 === 0 ? 64 : 17)
    seen.add(octets.toString('hex'))
  }
  expect(seen.size).toBe(1_000)
  for (const wrong of [0, -1, 1.5, 65, 5_000, Number.NaN])
    expect(() => randomOctets(wrong)).toThrow(RangeError)
})
