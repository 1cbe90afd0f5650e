import { parseArgs, type ParseArgsConfig } from 'node:util'
import { globalOptions, type CommandSpec, type OptionSpec } from './command.ts'

export type Parsed = { positionals: string[] } & Record<string, unknown>

/**
 * Parses a well-formed line without yargs, which takes longer to load than most commands take to
 * run. `null`: something is wrong with the line, and yargs explains it.
 */
export function parseLine(spec: CommandSpec, argv: readonly string[]): Parsed | null {
  // Without options there is nothing to parse, and parseArgs takes a millisecond to load.
  const end = argv.indexOf('--')
  const [before, behind] = end === -1 ? [argv, []] : [argv.slice(0, end), argv.slice(end + 1)]
  if (!before.some((word) => word.startsWith('-'))) {
    const positionals = [...before, ...behind]
    return takesPositionals(spec, positionals) ? { positionals } : null
  }
  const specs: Readonly<Record<string, OptionSpec>> = { ...spec.options, ...globalOptions }
  const options: NonNullable<ParseArgsConfig['options']> = {}
  const names: Record<string, string> = {}
  for (const [name, { type, array, alias, hidden = [] }] of Object.entries(specs))
    for (const spelling of [name, ...hidden]) {
      names[spelling] = name
      options[spelling] = {
        type: type === 'boolean' ? 'boolean' : 'string',
        ...(array === true ? { multiple: true } : {}),
        ...(alias === undefined || spelling !== name ? {} : { short: alias }),
      }
    }
  try {
    const args = [...argv]
    const { values, positionals } = parseArgs({ args, options, allowPositionals: true })
    const parsed: Parsed = { positionals }
    for (const [spelling, value] of Object.entries(values)) {
      const name = names[spelling] ?? spelling
      const converted = convert(specs[name], value)
      if (converted === null) return null
      parsed[name] = converted
    }
    if (!takesPositionals(spec, positionals) || repeated(specs, argv) !== null) return null
    return contradiction(spec, parsed) === null ? parsed : null
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
  const spellings = new Map(
    Object.entries(specs).flatMap(([name, { alias, hidden = [] }]) =>
      [name, ...hidden, ...(alias === undefined ? [] : [alias])].map(
        (spelling) => [spelling, name] as const,
      ),
    ),
  )
  const seen = new Set<string>()
  for (const word of argv) {
    if (word === '--') return null
    for (const spelling of spellingsIn(word, specs)) {
      const name = spellings.get(spelling)
      if (name === undefined || specs[name]?.array === true) continue
      if (seen.has(name)) return name
      seen.add(name)
    }
  }
  return null
}

/** The options in one word: `--days=30` has one, `-vq` two, and in `-p80` the rest is a value. */
function spellingsIn(word: string, specs: Readonly<Record<string, OptionSpec>>): string[] {
  const long = /^--([^=]+)/.exec(word)?.[1]
  if (long !== undefined) return [long]
  if (!/^-[^-]/.test(word)) return []
  const letters = word.slice(1).split('')
  const isValued = (letter: string): boolean =>
    Object.values(specs).some(({ alias, type }) => alias === letter && type !== 'boolean')
  const valued = letters.findIndex(isValued)
  return valued === -1 ? letters : letters.slice(0, valued + 1)
}

/** Returns what is wrong with options that do not go together; `null`: nothing is. */
export function contradiction(
  { options }: CommandSpec,
  given: Readonly<Record<string, unknown>>,
): { readonly sentence: string; readonly hint: string } | null {
  const isGiven = (name: string): boolean => given[name] !== undefined
  for (const [name, { needs, excludes = [] }] of Object.entries(options)) {
    if (!isGiven(name)) continue
    const other = excludes.find(isGiven)
    if (other !== undefined)
      return {
        sentence: `--${name} and --${other} exclude each other.`,
        hint: `Leave out --${name} or --${other}`,
      }
    if (needs === undefined || needs.some(isGiven)) continue
    const wanted = needs.map((need) => `--${need}`).join(' or ')
    return {
      sentence: `--${name} means nothing without ${wanted}.`,
      hint: `Add --${needs[0]}, or leave out --${name}`,
    }
  }
  return null
}
