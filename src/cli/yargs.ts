import yargs, { type Argv } from 'yargs'
import { RootlingError } from '../errors.ts'
import { globalOptions, type CommandSpec, type OptionSpec } from './command.ts'
import { nearest } from './nearest.ts'
import { convert, repeated, takesPositionals, type Parsed } from './parse.ts'
import { issueSpec } from './specs/certificates.ts'
import { commandOf, commands } from './table.ts'

type Row = (typeof commands)[number]

/**
 * Reads a line with yargs, which is slow but prints help and completions and explains errors.
 * `null`: help or a completion was printed. Throws `usage` with what is wrong and what was probably
 * meant.
 */
export async function explain(
  argv: readonly string[],
): Promise<{ row: Row; parsed: Parsed } | null> {
  refuseUnknownCommand(argv)
  let found: { row: Row; values: Record<string, unknown> } | null = null
  const parser = build(commandOf(argv)?.spec ?? null, (row, values) => (found = { row, values }))
  const words = argv.length === 0 ? ['--help'] : [...argv]
  await parser.parseAsync(words)
  if (found === null) {
    // Options alone, such as --quiet, name no command.
    if (!words.some((word) => asksForHelp.test(word))) parser.showHelp('log')
    return null
  }
  const { row, values } = found as { row: Row; values: Record<string, unknown> }
  return { row, parsed: check(row.spec, values, argv) }
}

const asksForHelp = /^(?:-\w*[hV]\w*|--help|--version|help|completion|--get-yargs-completions)$/

/** The first words of the commands that have two words, with the summaries that help shows. */
const groups = {
  ca: 'Look after the CA: list, permit, rotate, …',
  daemon: 'Look after the daemon: start, stop, status, …',
  acme: 'Look after the ACME server',
} as const
const groupOf = (name: string): keyof typeof groups | null =>
  (Object.keys(groups) as (keyof typeof groups)[]).find((group) => name.startsWith(`${group} `)) ??
  null

function refuseUnknownCommand([first = '', second = '']: readonly string[]): void {
  const group = first in groups ? `${first} ` : ''
  const word = group === '' ? first : second
  if (word === '' || word.startsWith('-')) return
  const names = commands
    .map(({ spec }) => spec.name)
    .filter((name) => name.startsWith(group))
    .map((name) => name.slice(group.length))
  if (
    group === '' &&
    ['help', 'completion', ...names.map((name) => name.split(' ')[0])].includes(word)
  )
    return
  if (names.includes(word)) return
  const guess = nearest(word, names)
  throw new RootlingError('usage', `There is no command rootling ${group}${word}.`, {
    hint:
      guess !== null
        ? `Did you mean rootling ${group}${guess}?`
        : group === ''
          ? `rootling --help; for a certificate for a host of that name: rootling issue ${word}`
          : `rootling ${group}--help`,
  })
}

function build(
  spec: CommandSpec | null,
  onCommand: (row: Row, values: Record<string, unknown>) => void,
): Argv {
  const parser = yargs()
    .scriptName('rootling')
    .usage(intro)
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
    .completion('completion', 'Print a completion script for bash or zsh')
    .epilogue(
      'Exit codes: 0 all well, 1 failed, 2 usage, 3 some stores failed, 4 not trusted, 5 cancelled',
    )
    .strictOptions()
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message, error) => {
      if (error instanceof RootlingError) throw error
      throw new RootlingError('usage', sentence(message ?? error.message, spec ?? issueSpec), {
        hint: spec === null ? 'rootling --help' : help(spec),
      })
    })
  const add = (target: Argv, row: Row, name: string): void => {
    target.command(
      name,
      row.spec.summary,
      (command) => commandHelp(command, row.spec),
      (values) => onCommand(row, values),
    )
  }
  for (const row of commands) if (groupOf(row.spec.name) === null) add(parser, row, row.spec.name)
  for (const [name, summary] of Object.entries(groups))
    parser.command(name, summary, (group) => {
      for (const row of commands)
        if (groupOf(row.spec.name) === name) add(group, row, row.spec.name.slice(name.length + 1))
      return group
        .demandCommand(1, `rootling ${name} needs a command`)
        .usage(`rootling ${name} COMMAND`)
    })
  return parser
}

const intro = `Trusted HTTPS for localhost: a certificate authority of your own.

  rootling install                          create it and trust it everywhere
  rootling localhost 127.0.0.1 ::1          issue a certificate
  rootling serve                            try it: https://localhost:8443`

function commandHelp(command: Argv, spec: CommandSpec): Argv {
  const usage = ['rootling', spec.name, spec.positionals, '[options]'].filter(Boolean).join(' ')
  command.usage(`${usage}\n\n${spec.summary}`).options(yargsOptions(spec.options))
  for (const example of spec.examples ?? []) command.example(example, '')
  return command
}

function yargsOptions(specs: CommandSpec['options']): Record<string, object> {
  return Object.fromEntries(
    Object.entries(specs).map(([name, { type, describe, choices, array, alias }]) => [
      name,
      {
        type: type === 'boolean' ? 'boolean' : 'string',
        describe,
        ...(choices === undefined ? {} : { choices }),
        ...(array === true ? { array } : {}),
        ...(alias === undefined ? {} : { alias }),
        ...(type === 'boolean' ? {} : { requiresArg: true }),
      },
    ]),
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

const help = (spec: CommandSpec): string => `rootling ${spec.name} --help`

/** Returns yargs' message as a full sentence, with the option that was probably meant. */
function sentence(message: string, { options }: CommandSpec): string {
  const invalid = /^Invalid values:\s+Argument: (\S+), Given: (.*), Choices: (.*)$/s.exec(message)
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
