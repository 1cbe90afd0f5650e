import { expect, test } from 'vitest'
import { printable } from '../src/printable.ts'

test.each([
  ['an escape', '\u001b[31m'],
  ['a bidirectional override', '\u202e'],
  ['a zero-width joiner', '\u200d'],
  ['a line separator', '\u2028'],
  ['a combining grapheme joiner', '\u034f'],
  ['a Hangul filler', '\u3164'],
  ['a variation selector', '\ufe0f'],
  ['an empty pattern of Braille', '\u2800'],
  ['a space that does not break', '\u00a0'],
])('%s of a stranger does not reach a terminal', (_, letter) => {
  expect(printable(`bob${letter}`)).not.toContain(letter.slice(0, 1))
  expect(printable(`bob${letter}`)).toMatch(/^bob\uFFFD/)
})

test('letters of every language do', () => {
  for (const text of ['bücher', '日本\u3000語', 'Ελλάδα', 'नमस्ते', '❤️', '⚡️ ☕️ 🗓️'])
    expect(printable(text)).toBe(text)
})
