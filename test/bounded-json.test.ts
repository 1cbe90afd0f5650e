import { assert, json, property } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseBoundedJson } from '../src/bounded-json.ts'

const nested = (open: string, close: string, depth: number): string =>
  open.repeat(depth) + close.repeat(depth)

describe('JSON of strangers', () => {
  test('is parsed as JSON.parse does it', () => {
    assert(
      property(json({ maxDepth: 5 }), (text) => {
        expect(parseBoundedJson(text)).toEqual(JSON.parse(text))
      }),
    )
  })

  test.each([
    ['32 arrays', nested('[', ']', 32)],
    ['many arrays side by side', `[${'[],'.repeat(1_000)}[]]`],
    ['brackets in a text', JSON.stringify({ a: '['.repeat(100), b: '"\\[{'.repeat(50) })],
  ])('may be %s', (_what, text) => {
    expect(parseBoundedJson(text)).toEqual(JSON.parse(text))
  })

  test.each([
    ['33 arrays', nested('[', ']', 33)],
    ['40,000 arrays', nested('[', ']', 40_000)],
    ['40,000 objects', `${'{"a":'.repeat(40_000)}1${'}'.repeat(40_000)}`],
    ['40,000 brackets that nothing closes', '['.repeat(40_000)],
    ['arrays behind a text with an escaped quote', `["\\"",${nested('[', ']', 40)}]`],
  ])('is refused where it is %s deep', (_what, text) => {
    expect(() => parseBoundedJson(text)).toThrow(SyntaxError)
  })

  test.each(['', '{', '"', '"\\', 'nul', '[1,]'])('is refused where it is %j', (text) => {
    expect(() => parseBoundedJson(text)).toThrow(SyntaxError)
  })
})
