import { groupOf, groups, isGroup, type Group } from './command-groups.ts'
import { globalOptions, type CommandSpec, type OptionSpec } from './command.ts'
import { findCommand, plainWords } from './line.ts'
import { commands } from './table.ts'

/** The column at which help ends, also in a pipe or on a wider terminal. */
const width = 80

/**
 * Returns the text for a line that asks for help or the version, or that names no command and needs
 * no explanation, such as `rootling` and `rootling ca`. `null`: the line is none of these.
 */
export function answerQuestion(argv: readonly string[]): string | null {
  const indexes = plainWords(argv)
  const words = indexes.map((index) => argv[index] ?? '')
  const options = optionWords(argv, indexes)
  if (words[0] === 'version' || asks(options, 'version', 'V')) return `${VERSION}\n`
  if (words[0] === 'help') return helpFor(words.slice(1))
  if (asks(options, 'help', 'h')) return helpFor(words)
  const isBare = words.length === 0 || (words.length === 1 && isGroup(words[0] ?? ''))
  // A program that asks for JSON cannot read help; it gets an error.
  const isForPeople = !argv.includes('--') && !options.includes('--json')
  return isBare && isForPeople && options.every(isGlobal) ? helpFor(words) : null
}

/** The words before `--` that are options, with the values of options left out. */
function optionWords(argv: readonly string[], plain: readonly number[]): string[] {
  const end = argv.indexOf('--')
  return argv.filter(
    (word, i) => (end === -1 || i < end) && !plain.includes(i) && word.startsWith('-'),
  )
}

function asks(options: readonly string[], name: string, letter: string): boolean {
  return options.some(
    (word) => word === `--${name}` || new RegExp(`^-[a-zA-Z]*${letter}[a-zA-Z]*$`).test(word),
  )
}

const isGlobal = (word: string): boolean =>
  word === '-q' || Object.hasOwn(globalOptions, /^--([^=]+)/.exec(word)?.[1] ?? '')

/** Returns the help for the words of a command, a group, or nothing; `null`: there is no such. */
function helpFor(words: readonly string[]): string | null {
  const [first = '', ...more] = words
  if (first === '' || first === 'help') return mainHelp()
  if (isGroup(first) && more.length === 0) return groupHelp(first)
  const { row } = findCommand(words)
  return row === undefined ? null : commandHelp(row.spec)
}

function mainHelp(): string {
  const single = commands.filter(({ spec }) => groupOf(spec) === null)
  return page([
    'Trusted HTTPS for localhost: a certificate authority of your own.',
    [
      '  rootling install                     create it and trust it everywhere',
      '  rootling localhost 127.0.0.1 ::1     issue a certificate',
      '  rootling serve                       try it: https://localhost:8443',
    ].join('\n'),
    section('Commands:', [
      ...single.map(({ spec }): Row => [`rootling ${spec.name}`, spec.summary]),
      ...Object.entries(groups).map(([name, summary]): Row => [`rootling ${name}`, summary]),
    ]),
    optionsOfEvery(),
    [
      paragraph('rootling-mkcert takes mkcert’s flags; ROOTLING_HOME names the CA’s directory.'),
      paragraph(
        'Exit codes: 0 all well · 1 failed, or doctor found something · 2 wrong usage · 3 some stores, or steps of up, failed · 4 not trusted, or up --check found something to change · 5 cancelled · 6 rootling.json needs approval.',
      ),
    ].join('\n'),
  ])
}

function groupHelp(group: Group): string {
  const rows = commands
    .filter(({ spec, hidden }) => groupOf(spec) === group && hidden !== true)
    .map(({ spec }): Row => [usageOf(spec), spec.summary])
  return page([
    `rootling ${group} COMMAND`,
    paragraph(groups[group]),
    section('Commands:', rows),
    optionsOfEvery(),
  ])
}

function commandHelp(spec: CommandSpec): string {
  const options = Object.entries(spec.options).filter(([, { unlisted }]) => unlisted !== true)
  return page([
    `${usageOf(spec)} [options]`,
    paragraph(`${spec.summary}.`),
    ...(options.length === 0 ? [] : [section('Options:', options.map(optionRow))]),
    ['Examples:', ...spec.examples.map((example) => `  ${example}`)].join('\n'),
    optionsOfEvery(),
  ])
}

const usageOf = ({ name, positionals }: CommandSpec): string =>
  ['rootling', name, positionals].filter(Boolean).join(' ')

const optionsOfEvery = (): string =>
  section('Options of every command:', [
    ...Object.entries(globalOptions).map(optionRow),
    ['-h, --help', 'Print this help; -V, --version: the version'],
  ])

function optionRow([name, option]: [string, OptionSpec]): Row {
  const { type, alias, choices, describe, placeholder = type === 'number' ? 'N' : 'X' } = option
  const letter = alias === undefined ? '    ' : `-${alias}, `
  const value = type === 'boolean' ? '' : ` ${choices === undefined ? placeholder : 'KIND'}`
  const oneOf = choices === undefined ? '' : ` (${choices.join(', ')})`
  return [`${letter}--${name}${value}`, `${describe}${oneOf}`]
}

type Row = readonly [string, string]

const page = (parts: readonly string[]): string => `${parts.join('\n\n')}\n`

/** A title with rows below it; the second column is wrapped within itself. */
function section(title: string, rows: readonly Row[]): string {
  const indent = Math.min(30, Math.max(...rows.map(([left]) => left.length)) + 4)
  const lines = rows.flatMap(([left, right]) => {
    const [first = '', ...more] = wrap(right, width - indent)
    const begin = `  ${left}`
    const top =
      begin.length + 2 > indent
        ? [begin, `${' '.repeat(indent)}${first}`]
        : [begin.padEnd(indent) + first]
    return [...top, ...more.map((line) => ' '.repeat(indent) + line)]
  })
  return [title, ...lines].join('\n')
}

const paragraph = (text: string): string => wrap(text, width).join('\n')

function wrap(text: string, columns: number): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? ''
    if (line === '') lines[lines.length - 1] = word
    else if (line.length + 1 + word.length <= columns) lines[lines.length - 1] = `${line} ${word}`
    else lines.push(word)
  }
  return lines
}
