import { shellWord } from '../shell-word.ts'
import type { CommandSpec } from './command.ts'

type Values = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

/**
 * Returns the line that a person typed, with some options changed, so that a hint can be pasted
 * whole. `--ca` and ROOTLING_HOME are added where the hint is printed.
 */
export function typedLine(
  { name, options }: CommandSpec,
  args: { readonly positionals: readonly string[] } & Values,
  changes: Values = {},
): string {
  const values: Values = { ...args, ...changes }
  const given = Object.keys(options).flatMap((option) => {
    const value = values[option]
    if (value === undefined) return []
    return value === true ? [`--${option}`] : [`--${option}`, shellWord(String(value))]
  })
  return ['rootling', name, ...args.positionals.map((word) => shellWord(word)), ...given].join(' ')
}
