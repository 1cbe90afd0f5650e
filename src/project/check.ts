import { createScanner, parseTree, type Node, type ParseError } from 'jsonc-parser'
import type { Fault } from '../errors.ts'
import { toUpdate } from '../files/update.ts'
import { nearest } from '../nearest.ts'
import { printable, shortened } from '../printable.ts'
import type { ObjectShape, Place, Shape, TextShape } from './shape.ts'

/** The most levels of objects and arrays; the format itself has four. */
const deepest = 32
/** More faults than a person reads at once. */
const mostFaults = 100

export interface Checked {
  /** All faults, in the order of the file; none: `value` is right. */
  readonly faults: readonly Fault[]
  /** Objects without a prototype; what a faulty file holds is not to be used. */
  readonly value: Readonly<Record<string, unknown>>
  /** Whether the file is of a later version of the format; the fault says how to update. */
  readonly isNewer: boolean
}

export interface CheckOptions extends Place {
  /** The absolute path of the file. */
  readonly file: string
  /** Whether it overrides another: nothing is required, and `null` takes a member out. */
  readonly overrides: boolean
}

/** Parses JSON with comments and trailing commas, and checks it against a shape. */
export function checkText(given: string, shape: ObjectShape, options: CheckOptions): Checked {
  const text = given.replace(/^\uFEFF/, '')
  const faults: Fault[] = []
  const report = (offset: number, key: string, message: string): void => {
    if (faults.length < mostFaults)
      faults.push({ file: options.file, ...positionOf(text, offset), key, message })
  }
  const none = { faults, value: {}, isNewer: false }
  const deep = tooDeep(text)
  if (deep !== null) {
    report(deep, '', `It is nested deeper than ${deepest} levels.`)
    return none
  }
  if (text.trim() === '') {
    report(0, '', 'The file is empty; it must hold an object { … }.')
    return none
  }
  const errors: ParseError[] = []
  const tree = parseTree(text, errors, { allowTrailingComma: true })
  for (const { offset, error } of errors) report(offset, '', syntaxMessages[error] ?? notJson)
  if (errors.length > 0 || tree === undefined) return none
  const version = tree.children?.find(({ children }) => children?.[0]?.value === 'version')
  const number: unknown = version?.children?.[1]?.value
  if (version !== undefined && typeof number === 'number' && number > 1) {
    // What a newer version allows is not known here, so nothing else is reported.
    report(
      version.children?.[1]?.offset ?? 0,
      'version',
      `This file is of version ${number}, and this Rootling knows version 1. To update: ${toUpdate('npm install rootling@latest, or npx rootling@latest up')}`,
    )
    return { ...none, isNewer: true }
  }
  checkNode(tree, shape, '', { ...options, report })
  const value = valueOf(tree) as Checked['value']
  return { faults: faults.toSorted(byPosition), value, isNewer: false }
}

const byPosition = (a: Fault, b: Fault): number => a.line - b.line || a.column - b.column

const notJson = 'This is not JSON with comments.'
/** By the numbers of jsonc-parser's ParseErrorCode. */
const syntaxMessages: Readonly<Record<number, string>> = {
  1: 'A symbol is wrong here; a text needs "double quotes".',
  2: 'This number is not one of JSON.',
  3: 'A key in "double quotes" is missing here.',
  4: 'A value is missing here.',
  5: 'A colon is missing here.',
  6: 'A comma is missing here.',
  7: 'A closing } is missing here.',
  8: 'A closing ] is missing here.',
  9: 'The file goes on after its end.',
  11: 'A comment is not closed.',
  12: 'A text is not closed.',
  13: 'A number is not finished.',
  14: 'A \\u needs four hex digits.',
  15: 'No such character may follow a backslash.',
  16: 'This character may not be here; in a text write it with a backslash.',
}

/** Returns where brackets nest too deep, since parsing them would overflow the stack; `null`: nowhere. */
function tooDeep(text: string): number | null {
  const scanner = createScanner(text, true)
  let depth = 0
  // SyntaxKind of jsonc-parser: 1 {, 2 }, 3 [, 4 ], 17 the end.
  for (let kind: number = scanner.scan(); kind !== 17; kind = scanner.scan()) {
    if (kind === 1 || kind === 3) depth++
    if (kind === 2 || kind === 4) depth--
    if (depth > deepest) return scanner.getTokenOffset()
  }
  return null
}

function positionOf(text: string, offset: number): Pick<Fault, 'line' | 'column'> {
  const before = text.slice(0, offset).split(/\r\n|\r|\n/)
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 }
}

interface Reporting extends CheckOptions {
  readonly report: (offset: number, key: string, message: string) => void
}

function checkNode(node: Node, shape: Shape, key: string, options: Reporting): void {
  const wrong = (allowed: string): void =>
    options.report(node.offset, key, `${shown(node)} is not right; it must be ${allowed}.`)
  switch (shape.type) {
    case 'object':
      if (node.type !== 'object') return wrong('an object { … }')
      return checkObject(node, shape, key, options)
    case 'map':
      if (node.type !== 'object') return wrong('an object { … }')
      for (const { name, value, offset } of membersOf(node, key, options)) {
        checkString(name, offset, shape.keys, joined(key, name), options)
        if (!isTakenOut(value, options)) checkNode(value, shape.values, joined(key, name), options)
      }
      return
    case 'list':
      return checkList(node, shape, key, options)
    case 'text':
      if (typeof node.value !== 'string') return wrong(shape.allowed)
      return checkString(node.value, node.offset, shape, key, options)
    case 'whole': {
      const { least, most } = shape
      const fits = Number.isInteger(node.value) && node.value >= least && node.value <= most
      return fits ? undefined : wrong(`a whole number from ${least} to ${most}`)
    }
    case 'choice': {
      const allowed = shape.choices.map((choice) => JSON.stringify(choice))
      const list = allowed.length === 1 ? allowed.join('') : `one of ${allowed.join(', ')}`
      return shape.choices.includes(node.value) ? undefined : wrong(list)
    }
    case 'either': {
      const [first, second] = shape.of
      const isFirst = node.type === (first.type === 'list' ? 'array' : 'number')
      return checkNode(node, isFirst ? first : second, key, options)
    }
  }
}

/** Whether an overriding file takes out this member of the other file. */
const isTakenOut = (value: Node, { overrides }: CheckOptions): boolean =>
  overrides && value.type === 'null'

function checkObject(node: Node, shape: ObjectShape, key: string, options: Reporting): void {
  const names = Object.keys(shape.members)
  const found = new Set<string>()
  for (const { name, value, offset } of membersOf(node, key, options)) {
    found.add(name)
    const member = Object.hasOwn(shape.members, name) ? shape.members[name] : undefined
    if (member === undefined) {
      const guess = name.length > 40 ? null : nearest(name, names)
      const meant = guess === null ? '' : ` Did you mean ${guess}?`
      const allowed = `Allowed are ${names.join(', ')}.`
      options.report(offset, joined(key, name), `There is no such key.${meant} ${allowed}`)
    } else if (!(key === '' && isTakenOut(value, options)))
      checkNode(value, member, joined(key, name), options)
  }
  if (key === '' && options.overrides) return
  for (const name of shape.required.filter((each) => !found.has(each)))
    options.report(
      node.offset,
      joined(key, name),
      `It is missing: ${shape.members[name]?.describe}.${onlyChoice(name, shape.members[name])}`,
    )
}

/** Returns what to write for a member that has one right value alone. */
function onlyChoice(name: string, member: Shape | undefined): string {
  if (member?.type !== 'choice' || member.choices.length !== 1) return ''
  return ` Write ${JSON.stringify(name)}: ${JSON.stringify(member.choices[0])}`
}

function checkList(
  node: Node,
  shape: Extract<Shape, { type: 'list' }>,
  key: string,
  options: Reporting,
): void {
  const { children: items = [] } = node
  const { least, most, unlike = [] } = shape
  if (node.type !== 'array')
    return options.report(node.offset, key, `${shown(node)} is not right; it must be a list [ … ].`)
  if (items.length < least || items.length > most)
    options.report(
      node.offset,
      key,
      `It has ${items.length} items; allowed are ${least} to ${most}.`,
    )
  for (const [i, item] of items.slice(0, most).entries())
    checkNode(item, shape.items, `${key}[${i}]`, options)
  const whole = shape.fault?.(items.map(({ value }): unknown => value)) ?? null
  if (whole !== null) options.report(node.offset, key, `It ${whole}.`)
  const seen = new Map<string, string>()
  for (const [i, item] of items.entries())
    for (const { name, value } of membersOf(item, key, null)) {
      if (!unlike.includes(name) || typeof value.value !== 'string') continue
      const own = `${key}[${i}].${name}`
      // On many file systems two paths that differ in case alone are one.
      const folded = value.value.normalize('NFKC').toLowerCase().replace(/^\.\//, '')
      const other = seen.get(folded)
      if (other !== undefined)
        options.report(value.offset, own, `It is the same as ${other}, and must be another.`)
      seen.set(folded, own)
    }
}

function checkString(
  text: string,
  offset: number,
  shape: TextShape,
  key: string,
  options: Reporting,
): void {
  const quoted = shownText(text)
  const { allowed, pattern, fault } = shape
  if (text !== printable(text))
    return options.report(offset, key, `${quoted} holds a control character or an invisible one.`)
  if (pattern !== undefined && !new RegExp(pattern, 'u').test(text))
    return options.report(offset, key, `${quoted} is not right; it must be ${allowed}.`)
  const wrong = fault?.(text, options) ?? null
  if (wrong === null) return
  const sentence = /[.?]$/.test(wrong)
    ? `${quoted} is not right: ${wrong}`
    : `${quoted} ${wrong}; it must be ${allowed}.`
  options.report(offset, key, sentence)
}

interface Member {
  readonly name: string
  readonly value: Node
  /** Of the key. */
  readonly offset: number
}

/** Returns the members of an object; with `options`, reports each key that is there twice. */
function membersOf(node: Node, key: string, options: Reporting | null): Member[] {
  const seen = new Set<string>()
  return (node.type === 'object' ? (node.children ?? []) : []).flatMap(({ children = [] }) => {
    const [name, value] = children
    if (name === undefined || value === undefined) return []
    const text = String(name.value)
    if (seen.has(text)) options?.report(name.offset, joined(key, text), 'This key is there twice.')
    seen.add(text)
    return [{ name: text, value, offset: name.offset }]
  })
}

/** Returns the path of a member; a name that is no plain word is shown in quotes. */
function joined(key: string, name: string): string {
  const word = /^[\w$.-]{1,60}$/.test(name) ? name : shownText(name)
  return key === '' ? word : `${key}.${word}`
}

const shown = ({ type, value }: Node): string => {
  if (type === 'object') return 'An object'
  if (type === 'array') return 'A list'
  return typeof value === 'string' ? shownText(value) : String(value)
}

const shownText = (text: string): string => JSON.stringify(shortened(text, 80))

/** Returns the value of a node. Its objects have no prototype, so that no key means anything else. */
function valueOf({ type, value, children = [] }: Node): unknown {
  if (type === 'array') return children.map(valueOf)
  if (type !== 'object') return value
  const object: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  for (const { children: [name, member] = [] } of children)
    if (name !== undefined && member !== undefined) object[String(name.value)] = valueOf(member)
  return object
}
