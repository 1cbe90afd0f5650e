// Node has loaded it already when it starts.
import { domainToASCII, domainToUnicode } from 'node:url'
import { printable } from '../printable.ts'
import { isOfOneScript } from '../x509/shown-subject.ts'

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
  return typed.split('.').every((each) => isOfOneScript(each, '-*0-9_')) ? typed : null
}
