import { expect, test } from 'vitest'
import { shownSubject } from '../../src/x509/shown-subject.ts'

test.each([
  ['alice', 'alice'],
  ['CN=alice, O=Example Ltd', 'CN=alice, O=Example Ltd'],
  // All letters are Cyrillic.
  ['раура', 'раура (\\D1\\80\\D0\\B0\\D1\\83\\D1\\80\\D0\\B0)'],
  ['Jürgen Ünal', 'Jürgen (J\\C3\\BCrgen) Ünal (\\C3\\9Cnal)'],
  ['CN=例子, O=Example', 'CN=例子 (\\E4\\BE\\8B\\E5\\AD\\90), O=Example'],
  // The first letter is Cyrillic, and the others are Latin.
  ['аlice', '\\D0\\B0lice'],
  ['bob аlice', 'bob \\D0\\B0lice'],
  ['letters from right to left אב', 'letters from right to left \\D7\\90\\D7\\91'],
  // A zero-width joiner, and a Hangul filler.
  ['al\u200dice', 'al\\E2\\80\\8Dice'],
  ['\u3164', '\\E3\\85\\A4'],
  ['☃', '☃ (\\E2\\98\\83)'],
  ['а\\b', '\\D0\\B0\\5Cb'],
])('%s is shown as %s', (text, shown) => {
  expect(shownSubject(text)).toBe(shown)
})
