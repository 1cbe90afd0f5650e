import { shellWord } from '../shell-word.ts'
import type { CommandSpec } from './command.ts'

/**
 * Returns the line that a person typed, with some options changed, so that a hint can be pasted
 * whole. `--ca` and ROOTLING_HOME are added where the hint is printed.
 */
export function typedLine(
  { name, options }: CommandSpec,
  args: { readonly positionals: readonly string[] } & Readonly<Record<string, unknown>>,
  changes: Readonly<Record<string, unknown>> = {},
): string {
  const values: Readonly<Record<string, unknown>> = { ...args, ...changes }
  const given = Object.keys(options).flatMap((option) => {
    const value = values[option]
    if (value === undefined) return []
    return value === true ? [`--${option}`] : [`--${option}`, shellWord(String(value))]
  })
  return ['rootling', name, ...args.positionals.map((word) => shellWord(word)), ...given].join(' ')
}
