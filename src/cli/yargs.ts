import yargs, { type Argv } from 'yargs'
import { RootlingError } from '../errors.ts'
import { nearest } from '../nearest.ts'
import { shellWord } from '../shell-word.ts'
import { globalOptions, type CommandSpec, type OptionSpec } from './command.ts'
import { groupOf, groups, isGroup } from './command-groups.ts'
import { findCommand, plainWords } from './line.ts'
import { commandInstead, isFlag } from './mkcert/flags.ts'
import { contradiction, convert, repeated, takesPositionals, type Parsed } from './parse.ts'
import { issueSpec } from './specs/certificates.ts'
import { commands } from './table.ts'

type Row = (typeof commands)[number]

/**
 * Reads a line with yargs, which is slow but explains errors. Throws `usage` with what is wrong and
 * what was probably meant.
 */
export async function explain(argv: readonly string[]): Promise<{ row: Row; parsed: Parsed }> {
  refuseMkcertFlag(argv)
  const { row: named, rest } = findCommand(argv)
  const words = plainWords(argv).map((index) => argv[index] ?? '')
  if (named === undefined) {
    refuseUnknownCommand(words[0] === 'help' ? words.slice(1) : words)
    refuseLoneOption(argv)
  }
  let found: { row: Row; values: Record<string, unknown> } | null = null
  const parser = build(named?.spec ?? null, (row, values) => (found = { row, values }))
  await parser.parseAsync(
    named === undefined ? [...argv] : [...named.spec.name.split(' '), ...rest],
  )
  if (found === null)
    throw new RootlingError('usage', 'No command was given.', { hint: 'rootling --help' })
  const { row, values } = found as { row: Row; values: Record<string, unknown> }
  return { row, parsed: check(row.spec, values, rest) }
}

/** Throws for a flag that mkcert spells with one hyphen, such as `-install`. */
function refuseMkcertFlag(argv: readonly string[]): void {
  for (const word of argv) {
    if (word === '--') return
    const name = /^-([^-=][^=]+)/.exec(word)?.[1] ?? ''
    if (isFlag(name))
      throw new RootlingError('usage', `There is no option -${name}, which is a flag of mkcert.`, {
        hint: `rootling-mkcert takes mkcert’s flags; here it is: ${commandInstead[name]}`,
      })
  }
}

/** Throws for words that name no command, or only the first word of one. */
function refuseUnknownCommand([first = '', second]: readonly string[]): void {
  if (first === '') return
  const group = isGroup(first) ? `${first} ` : ''
  const word = group === '' ? first : second
  if (word === undefined)
    throw new RootlingError('usage', `rootling ${first} needs a command.`, {
      hint: `rootling ${first} --help`,
    })
  const names = commands
    .filter(({ spec, hidden }) => spec.name.startsWith(group) && hidden !== true)
    .map(({ spec }) => spec.name.slice(group.length))
  const words = group === '' ? [...names, ...Object.keys(groups), 'help'] : names
  const guess = nearest(word, words)
  throw new RootlingError('usage', `There is no command rootling ${group}${word}.`, {
    hint:
      guess !== null
        ? `Did you mean this: rootling ${group}${guess}`
        : group === ''
          ? `--help lists all commands; for a certificate for a host of that name: rootling issue ${shellWord(word)}`
          : `rootling ${group}--help`,
  })
}

/** Throws for an option that no command was given for. */
function refuseLoneOption(argv: readonly string[]): void {
  for (const word of argv) {
    const name = /^--([^=]+)/.exec(word)?.[1] ?? ''
    const row = commands.find(({ spec }) => Object.hasOwn(spec.options, name))
    if (row !== undefined)
      throw new RootlingError('usage', `--${name} goes with a command, and none was given.`, {
        hint: help(row.spec),
      })
  }
}

function build(
  spec: CommandSpec | null,
  onCommand: (row: Row, values: Record<string, unknown>) => void,
): Argv {
  const parser = yargs()
    .scriptName('rootling')
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'greedy-arrays': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'strip-aliased': true,
    })
    .options(yargsOptions(globalOptions))
    .version(VERSION)
    .help()
    .alias('help', 'h')
    .alias('version', 'V')
    .strictOptions()
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message, error) => {
      if (error instanceof RootlingError) throw error
      throw new RootlingError('usage', sentence(message ?? error.message, spec ?? issueSpec), {
        hint: spec === null ? 'rootling --help' : (otherwise(message, spec) ?? help(spec)),
      })
    })
  const add = (target: Argv, row: Row, name: string): void => {
    target.command(
      name,
      row.spec.summary,
      (command) => command.options(yargsOptions(row.spec.options)),
      (values) => onCommand(row, values),
    )
  }
  for (const row of commands) if (groupOf(row.spec) === null) add(parser, row, row.spec.name)
  for (const [name, summary] of Object.entries(groups))
    parser.command(name, summary, (group) => {
      for (const row of commands)
        if (groupOf(row.spec) === name) add(group, row, row.spec.name.slice(name.length + 1))
      return group
    })
  return parser
}

function yargsOptions(specs: CommandSpec['options']): Record<string, object> {
  return Object.fromEntries(
    Object.entries(specs).map(
      ([name, { type, describe, choices, array, alias, hidden = [], unlisted }]) => [
        name,
        {
          type: type === 'boolean' ? 'boolean' : 'string',
          describe,
          hidden: unlisted === true,
          ...(choices === undefined ? {} : { choices }),
          ...(array === true ? { array } : {}),
          alias: [...hidden, ...(alias === undefined ? [] : [alias])],
          ...(type === 'boolean' ? {} : { requiresArg: true }),
        },
      ],
    ),
  )
}

function check(
  spec: CommandSpec,
  values: Record<string, unknown>,
  argv: readonly string[],
): Parsed {
  const specs: Readonly<Record<string, OptionSpec>> = { ...spec.options, ...globalOptions }
  const twice = repeated(specs, argv)
  if (twice !== null)
    throw new RootlingError('usage', `--${twice} was given twice.`, { hint: help(spec) })
  refuseValueOfSwitch(spec, specs, values, argv)
  const words = values['_'] as (string | number)[]
  const positionals = words.slice(spec.name.split(' ').length).map(String)
  if (!takesPositionals(spec, positionals))
    throw new RootlingError(
      'usage',
      spec.positionals === undefined
        ? `rootling ${spec.name} takes no argument, such as ${positionals[0]}.`
        : `rootling ${spec.name} takes one ${spec.positionals}, not ${positionals.length}.`,
      { hint: help(spec) },
    )
  const wrong = contradiction(spec, values)
  if (wrong !== null) throw new RootlingError('usage', wrong.sentence, { hint: wrong.hint })
  const parsed: Parsed = { positionals }
  for (const [name, option] of Object.entries(specs)) {
    if (values[name] === undefined) continue
    const value = convert(option, values[name])
    if (value === null)
      throw new RootlingError(
        'usage',
        `--${name} ${JSON.stringify(values[name]).replaceAll('"', '')} is not a whole number.`,
        {
          hint: help(spec),
        },
      )
    parsed[name] = value
  }
  return parsed
}

/**
 * Throws for `--dry-run=1`, `--dry-run false` and the like: yargs reads every value of a switch but
 * `true` as false. `--dry-run=false` is what it says.
 */
function refuseValueOfSwitch(
  command: CommandSpec,
  specs: Readonly<Record<string, OptionSpec>>,
  values: Readonly<Record<string, unknown>>,
  argv: readonly string[],
): void {
  const asked = Object.entries({ help: { hidden: [] }, version: { hidden: [] }, ...specs })
  for (const [name, { hidden = [] }] of asked) {
    const isMeant = [name, ...hidden].some((spelling) => argv.includes(`--${spelling}=false`))
    if (values[name] === false && !(isMeant && Object.hasOwn(specs, name)))
      throw new RootlingError('usage', `--${name} takes no value.`, { hint: help(command) })
  }
}

const help = (spec: CommandSpec): string => `rootling ${spec.name} --help`

/** How yargs says that a value is none of the choices of an option. */
const invalidValue = /^Invalid values:\s+Argument: (\S+), Given: (.*), Choices: (.*)$/s

/** Returns what to do instead of giving an option a value that it does not take. */
const otherwise = (message: string | null, { options }: CommandSpec): string | undefined =>
  options[invalidValue.exec(message ?? '')?.[1] ?? '']?.otherwise

/** Returns yargs' message as a full sentence, with the option that was probably meant. */
function sentence(message: string, { options }: CommandSpec): string {
  const invalid = invalidValue.exec(message)
  if (invalid !== null) {
    const choices = invalid[3]?.trim().replaceAll('"', '')
    return `--${invalid[1]} ${invalid[2]?.replaceAll('"', '')} is not one of ${choices}.`
  }
  const valueless = /^Not enough arguments following: (.*)$/.exec(message)?.[1]
  if (valueless !== undefined) return `--${valueless} needs a value.`
  const unknown = /^Unknown arguments?: (.*)$/.exec(message)?.[1]?.split(', ')[0]
  if (unknown === undefined)
    return /[.?]$/.test(message) ? message : `${message.split('\n').join(' ')}.`
  const guess = nearest(unknown, [...Object.keys(options), ...Object.keys(globalOptions)])
  const dashed = unknown.length === 1 ? `-${unknown}` : `--${unknown}`
  return `There is no option ${dashed}.${guess === null ? '' : ` Did you mean --${guess}?`}`
}
