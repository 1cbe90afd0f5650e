import { printable } from '../printable.ts'

/**
 * The scripts of which a word is made when it is shown in its own letters, as Unicode calls them;
 * each line is what one language writes in. Scripts that are written from right to left are left out,
 * since a terminal would show the words around them in another order.
 */
const scripts = [
  'Latn',
  'Grek',
  'Cyrl',
  'Armn',
  'Geor',
  'Hani Hira Kana',
  'Hani Hang',
  'Hani Bopo',
  'Deva',
  'Beng',
  'Guru',
  'Gujr',
  'Taml',
  'Telu',
  'Knda',
  'Mlym',
  'Sinh',
  'Thai',
  'Laoo',
  'Khmr',
  'Mymr',
  'Ethi',
]

/**
 * Returns whether a word is of letters of one script, and of these other characters, in the syntax
 * of a class of a regular expression. Latin with a Cyrillic letter that looks like a Latin one is
 * not.
 */
export function isOfOneScript(word: string, others = ''): boolean {
  const sets = scripts.map((list) => list.replace(/(\w+) ?/g, '\\p{scx=$1}'))
  return new RegExp(`^(?:${sets.map((set) => `[${others}${set}]+`).join('|')})$`, 'u').test(word)
}

/**
 * Returns a common name or a whole subject with the octets beside each word that is not ASCII, such
 * as `аlice (\D0\B0lice)`, in which the first letter is Cyrillic: as RFC 4514, section 2.4, and
 * openssl write them. Of a word that could deceive, in several scripts or with hidden characters,
 * the octets stand alone.
 */
export function shownSubject(text: string): string {
  return text.replace(/[^\s,;+=<>"()]*[^ -~\s][^\s,;+=<>"()]*/gu, (word) => {
    const octets = octetsOf(word)
    const letters = word.replace(/[^\p{L}\p{M}]/gu, '')
    const isClear = printable(word) === word && !/[\p{DI}\p{Z}]/u.test(word)
    return isClear && (letters === '' || isOfOneScript(letters)) ? `${word} (${octets})` : octets
  })
}

const octetsOf = (word: string): string =>
  Array.from(Buffer.from(word), (octet) =>
    octet > 0x20 && octet < 0x7f && octet !== 0x5c
      ? String.fromCharCode(octet)
      : `\\${octet.toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('')
