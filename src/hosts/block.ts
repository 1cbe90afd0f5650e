import { createHash } from 'node:crypto'
import { RootlingError } from '../errors.ts'

/** A person of this machine, or a project of theirs, for whom a line is there. */
export interface Owner {
  /** The person's user name. */
  readonly user: string
  /** The directory of the project; `null`: the person asked for the line. */
  readonly project: string | null
}

export interface HostsEntry {
  readonly name: string
  readonly address: string
}

/** A line that Rootling wrote and that nobody changed since. */
export interface OwnLine extends HostsEntry {
  readonly owners: readonly Owner[]
}

/** A line of the block, with its line end; `own`: what it says, `null` when somebody else wrote it. */
interface BlockLine {
  readonly text: string
  readonly own: OwnLine | null
}

/** A hosts file as text of one character for each octet (latin1), split around the block. */
export interface HostsText {
  readonly before: string
  /** The lines between the two marks; `null`: there is no block. */
  readonly lines: readonly BlockLine[] | null
  readonly after: string
  /** The line end of the block, or of the file when there is no block. */
  readonly lineEnd: '\n' | '\r\n'
  /** Whether the line before the block had no end when the block was added. */
  readonly unended: boolean
}

const begin = (unended: boolean): string =>
  `# rootling begin${unended ? ' (the line above had no end)' : ''}: see rootling hosts list; a line that you change becomes yours`
const end = '# rootling end'

/**
 * Splits the text of a hosts file around the block. `defaultEnd` is the line end of a file without
 * any. Throws `hosts-failed` when the marks are damaged.
 */
export function parseHosts(text: string, defaultEnd: '\n' | '\r\n' = '\n'): HostsText {
  const marks = [...text.matchAll(/(?<![^\n])# rootling (begin|end)\b[^\n]*\n?/g)]
  const [first, last] = marks
  if (first === undefined) {
    const at = text.indexOf('\n')
    const lineEnd = at === -1 ? defaultEnd : text[at - 1] === '\r' ? '\r\n' : '\n'
    return { before: text, lines: null, after: '', lineEnd, unended: false }
  }
  if (marks.length !== 2 || first[1] !== 'begin' || last?.[1] !== 'end') throw damaged(text, marks)
  const inside = text.slice(first.index + first[0].length, last.index)
  return {
    before: text.slice(0, first.index),
    lines: inside === '' ? [] : inside.split(/(?<=\n)/).map(parseLine),
    after: text.slice(last.index + last[0].length),
    lineEnd: first[0].endsWith('\r\n') ? '\r\n' : '\n',
    unended: first[0].includes('(the line above had no end)'),
  }
}

function damaged(text: string, marks: readonly RegExpMatchArray[]): RootlingError {
  const numbers = marks.map(({ index = 0 }) => text.slice(0, index).split('\n').length)
  const list = numbers.length > 4 ? `${numbers.slice(0, 4).join(', ')}, …` : numbers.join(', ')
  return new RootlingError(
    'hosts-failed',
    `The hosts file has the marks of Rootling’s lines in the wrong places (line ${list}).`,
    { hint: 'Leave one line “# rootling begin…”, one “# rootling end” below it, or neither' },
  )
}

/**
 * Our lines end in a checksum of all that stands before it, so that a line which somebody changed is
 * recognized, and is then theirs.
 */
const ownLine = /^((\S+) (\S+) # (\S+(?: \S+)*)) ([0-9a-f]{8})\r?\n?$/
const checksum = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, 8)

function parseLine(text: string): BlockLine {
  const [, sum, address = '', name = '', words = '', check] = ownLine.exec(text) ?? []
  if (sum === undefined || check !== checksum(sum)) return { text, own: null }
  const owners = words.split(' ').map(parseOwner)
  const isSound = owners.every((owner) => owner !== null)
  return { text, own: isSound ? { name, address, owners } : null }
}

/** Owners are written as `ada` or `ada:/home/ada/shop`, with what is not plain in percent form. */
function parseOwner(word: string): Owner | null {
  const [user = '', ...path] = word.split(':')
  try {
    const project = path.length === 0 ? null : decodeURI(path.join(':'))
    return { user: decodeURIComponent(user), project }
  } catch {
    return null
  }
}

const wordOf = ({ user, project }: Owner): string =>
  encodeURIComponent(user) + (project === null ? '' : `:${encodeURI(project)}`)

export const isSameOwner = (a: Owner, b: Owner): boolean =>
  a.user === b.user && a.project === b.project

export const isSameEntry = (a: HostsEntry, b: HostsEntry): boolean =>
  a.name === b.name && a.address === b.address

function renderLine(line: OwnLine, lineEnd: string): BlockLine {
  const sum = `${line.address} ${line.name} # ${line.owners.map(wordOf).join(' ')}`
  return { text: `${sum} ${checksum(sum)}${lineEnd}`, own: line }
}

export const ownLines = ({ lines }: HostsText): OwnLine[] =>
  (lines ?? []).flatMap(({ own }) => (own === null ? [] : [own]))

/** Returns the lines inside the block that Rootling did not write, without line ends. */
export const foreignLines = ({ lines }: HostsText): string[] =>
  (lines ?? []).flatMap(({ own, text }) => (own === null ? [text.trimEnd()] : [])).filter(Boolean)

/** Adds an owner's entries to the block, and makes the block where there is none. */
export function addEntries(
  hosts: HostsText,
  entries: readonly HostsEntry[],
  owner: Owner,
): HostsText {
  const { lineEnd, before } = hosts
  let lines = [...(hosts.lines ?? [])]
  for (const entry of entries) {
    const at = lines.findIndex(({ own }) => own !== null && isSameEntry(own, entry))
    const owners = lines[at]?.own?.owners ?? []
    if (owners.some((each) => isSameOwner(each, owner))) continue
    const line = renderLine({ ...entry, owners: [...owners, owner] }, lineEnd)
    lines = at === -1 ? [...lines, line] : lines.with(at, line)
  }
  if (hosts.lines !== null || lines.length === 0) return { ...hosts, lines: hosts.lines && lines }
  const unended = before !== '' && !before.endsWith('\n')
  return { ...hosts, before: unended ? before + lineEnd : before, lines, unended }
}

/**
 * Takes an owner's entries out of the block: a line stays as long as it has another owner. Without a
 * line of ours the block is gone too, and lines of others that were in it stay where they were.
 */
export function removeEntries(
  hosts: HostsText,
  entries: readonly HostsEntry[],
  isOwner: (owner: Owner) => boolean,
): HostsText {
  if (hosts.lines === null) return hosts
  const lines = hosts.lines.flatMap((line) => {
    const { own } = line
    if (own === null || !entries.some((entry) => isSameEntry(own, entry))) return [line]
    const owners = own.owners.filter((each) => !isOwner(each))
    if (owners.length === own.owners.length) return [line]
    return owners.length === 0 ? [] : [renderLine({ ...own, owners }, hosts.lineEnd)]
  })
  if (lines.some(({ own }) => own !== null)) return { ...hosts, lines }
  const rest = lines.map(({ text }) => text).join('') + hosts.after
  const { before, lineEnd } = hosts
  // Where a line follows by now, the end of the line above is needed.
  const cut = hosts.unended && rest === '' && before.endsWith(lineEnd) ? lineEnd.length : 0
  const text = before.slice(0, before.length - cut) + rest
  return { before: text, lines: null, after: '', lineEnd, unended: false }
}

/** Returns the text of the file. */
export function renderHosts({ before, lines, after, lineEnd, unended }: HostsText): string {
  if (lines === null) return before + after
  const inside = lines.map(({ text }) => text).join('')
  const closing = inside === '' || inside.endsWith('\n') ? '' : lineEnd
  return `${before}${begin(unended)}${lineEnd}${inside}${closing}${end}${lineEnd}${after}`
}

/** Returns the text with an empty line for each of ours, so that the numbers of the others stay. */
export const withoutOwn = (hosts: HostsText): string =>
  hosts.lines === null
    ? hosts.before
    : renderHosts({
        ...hosts,
        lines: hosts.lines.map((line) => (line.own === null ? line : { text: '\n', own: null })),
      })
