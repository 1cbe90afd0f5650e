import * as fc from 'fast-check'
import { globalOptions, type CommandSpec, type OptionSpec } from '../../src/cli/command.ts'
import { contradiction } from '../../src/cli/parse.ts'

const word = fc.stringMatching(/^[a-z][a-z0-9.]{0,8}[a-z]$/)

function valueOf({ type, choices }: OptionSpec): fc.Arbitrary<string> {
  if (choices !== undefined) return fc.constantFrom(...choices)
  return type === 'number' ? fc.integer({ min: 0, max: 999_999 }).map(String) : word
}

/** An option as a person may type it: with a space, with an equals sign, or by its letter. */
function typed(name: string, spec: OptionSpec): fc.Arbitrary<string[]> {
  const { alias, hidden = [] } = spec
  const long = [name, ...hidden].map((spelling) => `--${spelling}`)
  const flag = fc.constantFrom(...long, ...(alias === undefined ? [] : [`-${alias}`]))
  if (spec.type === 'boolean') return flag.map((text) => [text])
  return fc
    .tuple(flag, valueOf(spec), fc.boolean())
    .map(([text, value, joined]) =>
      joined && text.startsWith('--') ? [`${text}=${value}`] : [text, value],
    )
}

/** The arguments of a well-formed line, and its options, each with its value. */
export function parts(
  spec: CommandSpec,
): fc.Arbitrary<{ positionals: string[]; flags: string[][] }> {
  const options = Object.entries<OptionSpec>({ ...spec.options, ...globalOptions })
  const flags = fc
    .subarray(options, { maxLength: Math.min(5, options.length) })
    .filter((rows) => contradiction(spec, Object.fromEntries(rows)) === null)
    .chain((rows) => fc.tuple(...rows.map(([name, option]) => typed(name, option))))
  const counts =
    spec.positionals === undefined
      ? [0, 0]
      : spec.positionals.endsWith('…') || spec.positionals.startsWith('[')
        ? [spec.positionals.startsWith('[') ? 0 : 1, 4]
        : [1, 1]
  const positionals = fc.array(word, { minLength: counts[0] ?? 0, maxLength: counts[1] ?? 0 })
  return fc.record({ positionals, flags })
}

/** The words of a line in their order, with the options anywhere between them. */
export function scattered(
  words: readonly string[],
  flags: readonly (readonly string[])[],
): fc.Arbitrary<string[]> {
  const places = fc.tuple(...flags.map(() => fc.integer({ min: 0, max: words.length })))
  return fc
    .tuple(places, fc.shuffledSubarray([...flags.keys()], { minLength: flags.length }))
    .map(([at, order]) =>
      [...words.map((text) => [text]), []].flatMap((own, i) => [
        ...order.filter((flag) => at[flag] === i).flatMap((flag) => flags[flag] ?? []),
        ...own,
      ]),
    )
}
