import path from 'node:path'
import { RootlingError } from '../../src/errors.ts'
import { anchorPrefix } from '../trust-store.ts'
import { quotedPath } from '../../src/shell-word.ts'

/**
 * The members that lead to the list of certificates in a policies file.
 * https://mozilla.github.io/policy-templates/#certificates--install
 */
const memberNames = ['policies', 'Certificates', 'Install'] as const

const byteOrderMark = '\uFEFF'

/**
 * Returns the text of a policies file with one more certificate to install. Only that is inserted:
 * all other text stays as it is, so that `removeCertificate` returns exactly the text from before.
 * `text` is `null` when there is no file yet. Throws `store-failed` when Firefox would not read the
 * text as a policies file.
 */
export function addCertificate(text: string | null, certificate: string, file: string): string {
  if (text === null) return textOf([certificate])
  if (text.startsWith(byteOrderMark))
    throw refuse(file, 'begins with a byte order mark, for which Firefox ignores the whole file')
  checkShape(text, file)
  if (installedFiles(text).includes(certificate)) return text
  let open = text.indexOf('{')
  for (const [depth, name] of memberNames.entries()) {
    const found = membersOf(text, open).findLast(({ key }) => key === name)
    if (found === undefined) return insert(text, open, newMember(depth, certificate))
    open = found.value
  }
  return insert(text, open, JSON.stringify(certificate))
}

/**
 * Returns the text of a policies file without this certificate; `null` when `addCertificate` made
 * the file, and it holds nothing else. Throws `store-failed` when the text is not that of a
 * policies file.
 */
export function removeCertificate(text: string, certificate: string, file: string): string | null {
  if (text === textOf([certificate])) return null
  let rest = text
  while (filesToInstall(rest, file).includes(certificate)) rest = removeOnce(rest, certificate)
  return rest
}

/**
 * Returns the certificate files that a policies file names. None when the file is broken, because
 * Firefox then ignores it as a whole; a byte order mark breaks it too.
 */
export function installedFiles(text: string | null): string[] {
  try {
    return text === null ? [] : filesIn(JSON.parse(text))
  } catch {
    return []
  }
}

/**
 * Returns the certificate files that a policies file names, also where Firefox ignores it for its
 * byte order mark. Throws `store-failed` when the text is not that of a policies file.
 */
export function filesToInstall(text: string, file: string): string[] {
  return filesIn(parse(withoutByteOrderMark(text), file))
}

function filesIn(policies: unknown): string[] {
  let value = policies
  for (const name of memberNames) value = isObject(value) ? value[name] : undefined
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []
}

/** Whether `addCertificate` made this text, and only for roots of Rootling. */
export function isOurs(text: string): boolean {
  const files = installedFiles(text)
  const ours = files.every((file) => path.basename(file).startsWith(anchorPrefix))
  return ours && text === textOf(files)
}

/** Returns the error for a policies file that is left as it is. */
export function refuse(file: string, why: string, cause?: unknown): RootlingError {
  return new RootlingError('store-failed', `${quotedPath(file)} ${why}.`, {
    hint: `Fix ${file} or move it away, then try again`,
    cause,
  })
}

/** Returns the whole text of a policies file that installs these certificates. */
function textOf(certificates: readonly string[]): string {
  const policies = { policies: { Certificates: { Install: certificates } } }
  return `${JSON.stringify(policies, null, 2)}\n`
}

function parse(text: string, file: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw refuse(file, 'is not JSON, so it was left as it is', error)
  }
}

/** Throws `store-failed` unless the text is JSON in which a certificate can be added. */
function checkShape(text: string, file: string): void {
  const value = parse(text, file)
  if (!isObject(value)) throw refuse(file, 'does not hold a JSON object')
  const policies = value['policies']
  if (policies === undefined) return
  if (!isObject(policies)) throw refuse(file, 'has a member policies that is not an object')
  const certificates = policies['Certificates']
  if (certificates === undefined) return
  if (!isObject(certificates)) throw refuse(file, 'has a member Certificates that is not an object')
  const install = certificates['Install']
  if (install !== undefined && !Array.isArray(install))
    throw refuse(file, 'has a Certificates.Install that is not a list')
}

/**
 * Returns the member that is inserted where an object lacks the one of this depth. Its spaces are
 * inside the brackets: `removeCertificate` knows by them that the brackets were inserted too, and
 * are not an administrator's.
 */
function newMember(depth: number, certificate: string): string {
  const list = `[ ${JSON.stringify(certificate)} ]`
  return memberNames.slice(depth).reduceRight((value, name, index, names) => {
    const isInner = index === names.length - 1
    return `"${name}": ${isInner ? value : `{ ${value} }`}`
  }, list)
}

/** Inserts a first member or item after an opening bracket, laid out as the one that was first. */
function insert(text: string, open: number, added: string): string {
  const next = skipSpace(text, open + 1)
  const isEmpty = text[next] === '}' || text[next] === ']'
  const before = text.slice(0, open + 1)
  return isEmpty
    ? before + added + text.slice(open + 1)
    : `${before}${text.slice(open + 1, next)}${added},${text.slice(open + 1)}`
}

function removeOnce(text: string, certificate: string): string {
  let open = text.indexOf('{')
  for (const [depth, name] of memberNames.entries()) {
    const members = membersOf(text, open)
    const at = members.findLastIndex(({ key }) => key === name)
    const { start, value, end } = at < 0 ? nowhere : (members[at] ?? nowhere)
    if (text.slice(start, end) === newMember(depth, certificate))
      return cut(text, open, members, at)
    open = value
  }
  const items = membersOf(text, open)
  const at = items.findIndex(
    ({ start, end }) => text[start] === '"' && JSON.parse(text.slice(start, end)) === certificate,
  )
  return cut(text, open, items, at)
}

/** Removes one member or item, with its comma. */
function cut(text: string, open: number, members: readonly Member[], at: number): string {
  const { start, end } = members[at] ?? nowhere
  const previous = members[at - 1]
  if (previous !== undefined) return text.slice(0, previous.end) + text.slice(end)
  if (members.length === 1) return text.slice(0, start) + text.slice(end)
  return text.slice(0, open + 1) + text.slice(skipSpace(text, end) + 1)
}

/** A member of an object, or an item of a list, by its places in the text. */
interface Member {
  /** `null`: an item. */
  readonly key: string | null
  readonly start: number
  /** Where the value begins. */
  readonly value: number
  /** The place after the value. */
  readonly end: number
}

const nowhere: Member = { key: null, start: 0, value: 0, end: 0 }

/** Returns the members of the object, or the items of the list, that opens here in valid JSON. */
function membersOf(text: string, open: number): Member[] {
  const members: Member[] = []
  let at = skipSpace(text, open + 1)
  while (at < text.length && text[at] !== '}' && text[at] !== ']') {
    const start = at
    let key: string | null = null
    if (text[open] === '{') {
      const keyEnd = endOfString(text, at)
      key = String(JSON.parse(text.slice(at, keyEnd)))
      at = skipSpace(text, skipSpace(text, keyEnd) + 1)
    }
    const end = endOfValue(text, at)
    members.push({ key, start, value: at, end })
    at = skipSpace(text, end)
    if (text[at] === ',') at = skipSpace(text, at + 1)
  }
  return members
}

function endOfValue(text: string, start: number): number {
  let depth = 0
  let at = start
  do {
    const character = text[at] ?? ''
    if (character === '"') at = endOfString(text, at)
    else {
      if ('{['.includes(character)) depth += 1
      if ('}]'.includes(character)) depth -= 1
      at += 1
      // A number or a word ends where a bracket, a comma or a space begins.
      if (depth === 0 && !'}]'.includes(character))
        while (at < text.length && !/[\s,}\]]/.test(text[at] ?? '')) at += 1
    }
  } while (depth > 0 && at < text.length)
  return at
}

/** Returns the place after the string that begins here. */
function endOfString(text: string, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

function skipSpace(text: string, start: number): number {
  let at = start
  while (/[\t\n\r ]/.test(text[at] ?? '')) at += 1
  return at
}

function withoutByteOrderMark(text: string): string {
  return text.startsWith(byteOrderMark) ? text.slice(1) : text
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
