import { parseArgs, type ParseArgsConfig } from 'node:util'
import { globalOptions, type CommandSpec, type OptionSpec } from './command.ts'

export type Parsed = { positionals: string[] } & Record<string, unknown>

/**
 * Parses a well-formed line without yargs, which takes longer to load than most commands take to
 * run. `null`: something is wrong with the line, and yargs explains it.
 */
export function parseLine(spec: CommandSpec, argv: readonly string[]): Parsed | null {
  // Without options there is nothing to parse, and parseArgs takes a millisecond to load.
  if (!argv.some((word) => word.startsWith('-')))
    return takesPositionals(spec, argv) ? { positionals: [...argv] } : null
  const specs: Readonly<Record<string, OptionSpec>> = { ...spec.options, ...globalOptions }
  const options: NonNullable<ParseArgsConfig['options']> = {}
  for (const [name, { type, array, alias }] of Object.entries(specs))
    options[name] = {
      type: type === 'boolean' ? 'boolean' : 'string',
      ...(array === true ? { multiple: true } : {}),
      ...(alias === undefined ? {} : { short: alias }),
    }
  try {
    const args = [...argv]
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
    const parsed: Parsed = { positionals }
    for (const [name, value] of Object.entries(values)) {
      const converted = convert(specs[name], value)
      if (converted === null) return null
      parsed[name] = converted
    }
    return takesPositionals(spec, positionals) && repeated(specs, argv) === null ? parsed : null
  } catch {
    return null
  }
}

/** Converts a value to the type of its option; `null`: the option does not take this value. */
export function convert(spec: OptionSpec | undefined, value: unknown): unknown {
  if (typeof value !== 'string') return value
  if (spec?.choices !== undefined && !spec.choices.includes(value)) return null
  if (spec?.type !== 'number') return value
  return isNumber(value) ? Number(value) : null
}

/** Whether a text is a whole decimal number; `0x10`, `1e3` and an empty value are not. */
function isNumber(text: string): boolean {
  return /^-?\d{1,9}$/.test(text)
}

/**
 * Whether a command takes this many arguments, by its usage text: absent: none, `X`: exactly one,
 * `X…` or text in brackets: any number.
 */
export function takesPositionals({ positionals }: CommandSpec, given: readonly string[]): boolean {
  if (positionals === undefined) return given.length === 0
  if (positionals.startsWith('[')) return true
  return positionals.endsWith('…') ? true : given.length === 1
}

/**
 * Returns the name of an option that was given twice but takes one value; `null`: there is none.
 */
export function repeated(
  specs: Readonly<Record<string, OptionSpec>>,
  argv: readonly string[],
): string | null {
  const seen = new Set<string>()
  for (const word of argv) {
    if (word === '--') return null
    const name = /^--([^=]+)/.exec(word)?.[1]
    if (name === undefined || specs[name]?.array === true) continue
    if (seen.has(name)) return name
    seen.add(name)
  }
  return null
}
