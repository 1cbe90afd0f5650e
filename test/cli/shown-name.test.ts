import { domainToASCII } from 'node:url'
import { expect, test } from 'vitest'
import { shownName } from '../../src/cli/shown-name.ts'

test.each([
  'bücher.test',
  '*.bücher.test',
  'пример.test',
  '例え.テスト',
  '例子.test',
  'straße.test',
])('%s is shown as it was typed, with its A-label beside', (typed) => {
  const label = domainToASCII(typed)
  expect(shownName(label)).toBe(`${typed} (${label})`)
  expect(shownName(`ada@${label}`)).toBe(`ada@${typed} (ada@${label})`)
})

test.each([
  ['a plain name', 'localhost'],
  ['an address', '::1'],
  ['a label that is none', 'xn--zzzzzz99.test'],
  ['a label that is written in another way', 'XN--bcher-kva.test'],
  ['Latin with a Cyrillic letter', domainToASCII('pаypal.test')],
  ['Latin with a Greek letter', domainToASCII('αpple.test')],
  ['letters from right to left', domainToASCII('אב.test')],
  ['a name in which xn-- is no label', 'maxn--bcher-kva.test'],
])('%s is shown as it is', (_what, name) => {
  expect(shownName(name)).toBe(name)
})

test('a name that could be taken for several is in quotes', () => {
  expect(shownName('a.test, bank.test (xn--80ak6aa92e.test)')).toBe(
    '"a.test, bank.test (xn--80ak6aa92e.test)"',
  )
})

test('no name is shown with a character that hides or turns text', () => {
  // What decodes to a zero-width joiner, a soft hyphen, and a Hangul filler.
  for (const name of ['xn--ab-m1t.test', 'xn--ab-5da.test', 'xn--osd.test'])
    expect(shownName(name)).toBe(name)
})
