import { expect, test } from 'vitest'
import {
  dim,
  green,
  red,
  hanging,
  render,
  table,
  tableWithHints,
  whole,
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
    const others = lines.filter((line) => line !== `    ${path}`)
    expect(Math.max(...others.map(({ length }) => length))).toBeLessThanOrEqual(width)
    expect(lines.every((line, i) => i === 0 || /^(?: {4}|name)/.test(line))).toBe(true)
    expect(lines.join('\n')).toContain(path)
  }
})

test('a hint goes below its row, and each line of it is indented', () => {
  const hint = [dim('→'), ` ${'instead '.repeat(20).trim()}`]
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
  expect(lines[1]).toMatch(/^ {4}→ instead/)
  expect(lines.slice(2, -1).every((line) => /^ {4}instead/.test(line))).toBe(true)
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80)
})

test('no word is cut, and a style goes with its words', () => {
  const line = [green('one two'), ' three four five', ` /${'x'.repeat(50)}`, ' six']
  const lines = hanging(line, 2, 20)
  expect(shown(lines)).toEqual(['  one two three four', '  five', `  /${'x'.repeat(50)}`, '  six'])
  expect(render(lines, () => true)).toContain('\u001B[32mone ')
})

test('a path with spaces and a command that is copied stay on one line', () => {
  const path = `/home/ada/${'my shop/'.repeat(5)}tls.crt`
  expect(shown(hanging(['It is in ', whole(path)], 2, 40))).toEqual(['  It is in', `  ${path}`])
  for (const home of ["'/x y'", "'/x '\\''y z'\\'''"]) {
    const command = `ROOTLING_HOME=${home} rootling install --stores nss,java,system`
    const hint = `Then do this: ${command}; or leave it as it is, which is less.`
    expect(shown(hanging(hint, 4, 50))).toEqual([
      '    Then do this:',
      `    ${command};`,
      '    or leave it as it is, which is less.',
    ])
  }
})

test('a word that is too long for its cell has a line above its row', () => {
  const name = `${'long-name.'.repeat(7)}test`
  const lines = shown(
    table([
      ['NAMES', 'UNTIL', 'FILE'],
      [name, '2027-12-27', '~/tls.crt'],
    ]),
  )
  expect(lines.slice(1)).toEqual([name, expect.stringMatching(/^ +2027-12-27 {2}~\/tls\.crt$/)])
})

test('letters that take two columns of a terminal count as two', () => {
  const lines = shown(
    table([
      ['例子.test', 'x'],
      ['ascii.test', 'y'],
    ]),
  )
  expect(lines).toEqual(['例子.test   x', 'ascii.test  y'])
})

test.each([
  ['dots behind a command', `z rootling a${'.'.repeat(300_000)}x`],
  ['quotes behind a command', `rootling a${`'"`.repeat(150_000)}`],
  ['commands', 'rootling a'.repeat(30_000)],
  ['variables', 'ROOTLING_HOME='.repeat(20_000)],
  ['variables of backslashes', `ROOTLING_HOME=${'\\'.repeat(300_001)}`],
  ['variables with escaped spaces', 'ROOTLING_HOME=\\ '.repeat(20_000)],
  ['variables with escaped quotes', `ROOTLING_HOME=${"\\'".repeat(150_000)}`],
  ['quoted variables', `ROOTLING_HOME='`.repeat(20_000)],
  ['spaces', `a${' '.repeat(300_000)}b`],
])('a stranger’s text of %s is wrapped in time', (_, text) => {
  // What is quadratic in the length of such a text takes hours.
  expect(words(shown(hanging(text, 2, 80)))).toHaveLength(text.trim().replace(/ +/g, ' ').length)
})

test('a mark stands on the line of a name that is too long for its cell', () => {
  const name = `${'long-name.'.repeat(7)}test`
  const rows = [
    [green('✓'), name, '2027-12-27', 'renewed'],
    [green('✗'), 'short.test', '2027-12-27', 'failed'],
  ]
  const lines = shown(table(rows))
  expect(lines).toEqual([
    `✓  ${name}`,
    expect.stringMatching(/^ +2027-12-27 {2}renewed$/),
    '✗  short.test  2027-12-27  failed',
  ])
  const longer = `${'longer-name.'.repeat(8)}test`
  expect(shown(table([[green('✓'), longer, '2027-12-27', 'renewed']]))[0]).toBe(`✓  ${longer}`)
})

test('a name of many words that is too long goes on below itself, beside its mark', () => {
  const names = `NSS database of ${'long-directory.'.repeat(4)}d, also of Chromium and of others there`
  const lines = shown(table([[green('✓'), names, 'already installed: it was there before']]))
  expect(lines[0]).toMatch(/^✓ {2}NSS/)
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80)
  expect(lines.filter((line) => line.includes('✓'))).toHaveLength(1)
})

test('an arrow and the command after it stay on one line, however long that is', () => {
  const command = `rootling issue ${'a-long-name.'.repeat(8)}test --out-dir certificates`
  expect(shown(hanging([dim('→'), ` ${command}`], 4, 80))).toEqual([`    → ${command}`])
  expect(shown(hanging(`→ ${command}`, 4, 80, 2))).toEqual([`  → ${command}`])
})

test('an empty last cell takes no line of its own', () => {
  for (let length = 1; length < 80; length++) {
    const reason = `failed: /${'x'.repeat(length)} could not be written: permission is denied.`
    const lines = shown(table([[red('✗'), 'localhost, 127.0.0.1, ::1', reason, whole('')]]))
    expect(lines.filter((line) => line.trim() === '')).toEqual([])
    expect(words(lines)).toContain('could')
  }
})
