// Node has loaded it already when it starts.
import { domainToASCII, domainToUnicode } from 'node:url'
import { printable } from '../printable.ts'

/**
 * The scripts of which a label is made when it is shown in its own letters, as Unicode calls them;
 * each line is what one language writes in. A label in several, such as Latin with a Cyrillic letter
 * that looks like a Latin one, is shown as its A-label alone. So are scripts that are written from right to left,
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
 * Returns a name as its owner typed it with its A-label beside it, such as
 * `bücher.test (xn--bcher-kva.test)`, where it has one (RFC 5890, section 2.3.2.1). Returns the name
 * alone where the letters could deceive: if they do not become this very A-label again, hide
 * something, or are of several scripts. In quotes where a stranger's name could be taken for several.
 */
export function shownName(name: string): string {
  if (/[\s,()"]/.test(name)) return JSON.stringify(name)
  if (!/(?:^|[.@])xn--/.test(name)) return name
  const at = name.lastIndexOf('@') + 1
  const typed = unicodeOf(name.slice(at))
  return typed === null ? name : `${name.slice(0, at)}${typed} (${name})`
}

function unicodeOf(host: string): string | null {
  const typed = domainToUnicode(host)
  const isSame = typed !== host && domainToASCII(typed) === host
  if (!isSame || printable(typed) !== typed || /[\p{DI}\p{Z}]/u.test(typed)) return null
  const sets = scripts.map((list) => list.replace(/(\w+) ?/g, '\\p{scx=$1}'))
  const label = new RegExp(`^(?:${sets.map((set) => `[-*0-9_${set}]+`).join('|')})$`, 'u')
  return typed.split('.').every((each) => label.test(each)) ? typed : null
}
