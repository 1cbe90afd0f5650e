import { expect, test } from 'vitest'
import {
  dim,
  green,
  hanging,
  render,
  table,
  tableWithHints,
  type Line,
} from '../../src/cli/lines.ts'

const shown = (lines: readonly Line[]): string[] =>
  render(lines, () => false)
    .split('\n')
    .slice(0, -1)
const words = (lines: readonly string[]): string => lines.join(' ').replace(/\s+/g, ' ').trim()

test('a table that fits has one line a row', () => {
  const rows = [
    ['a', 'long name', 'x'],
    ['bb', '', 'y'],
    ['c', 'last', ''],
  ]
  expect(shown(table(rows))).toEqual(['a   long name  x', 'bb             y', 'c   last'])
})

test('a sentence that is too long is wrapped in its column', () => {
  const sentence = Array.from({ length: 30 }, (_, i) => `word${i}`).join(' ')
  const lines = shown(
    table([
      [green('✓'), 'Store', sentence],
      ['✗', 'Other store', 'ok'],
    ]),
  )
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80)
  expect(lines[0]).toMatch(/^✓ {2}Store {8}word0 word1/)
  expect(lines.slice(1, -1).every((line) => /^ {16}word/.test(line))).toBe(true)
  expect(lines.at(-1)).toBe('✗  Other store  ok')
  expect(words(lines.slice(0, -1))).toBe(`✓ Store ${sentence}`)
})

test('names wrap in their column, and a path goes below its row where it does not fit', () => {
  const names = Array.from({ length: 9 }, (_, i) => `name${i}.test`).join(', ')
  const path = `/home/ada/${'directory/'.repeat(9)}tls.crt`
  const row = [names, '2027-12-27', 'due for renewal', 'server', 'p256', '4a0f2c1b']
  for (const width of [80, 60, 120]) {
    const lines = shown(
      table(
        [
          [...row, path],
          [...row.slice(0, 6), '/a.pem'],
        ],
        width,
      ),
    )
    expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(width)
    expect(lines.every((line, i) => i === 0 || /^(?: {4}|name)/.test(line))).toBe(true)
    expect(lines.map((line) => line.trim()).join('')).toContain(path)
  }
})

test('a hint goes below its row, and each line of it is indented', () => {
  const hint = [dim('→'), ` ${'rootling '.repeat(20).trim()}`]
  const lines = shown(
    tableWithHints(
      [
        ['✗', 'a'],
        ['✓', 'b'],
      ],
      [hint, null],
      80,
    ),
  )
  expect([lines[0], lines.at(-1)]).toEqual(['✗  a', '✓  b'])
  expect(lines[1]).toMatch(/^ {4}→ rootling/)
  expect(lines.slice(2, -1).every((line) => /^ {4}rootling/.test(line))).toBe(true)
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80)
})

test('no letter is lost, and a style goes with its words', () => {
  const line = [green('one two'), ' three', '/'.repeat(50)]
  const lines = hanging(line, 2, 20)
  expect(shown(lines).join('').replace(/ /g, '')).toBe(`onetwothree${'/'.repeat(50)}`)
  expect(render(lines, () => true)).toContain('\u001B[32mone ')
})
