import * as fc from 'fast-check'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import type { CommandSpec, OptionSpec } from '../../src/cli/command.ts'
import { globalOptions } from '../../src/cli/command.ts'
import { parseLine } from '../../src/cli/parse.ts'
import { commands } from '../../src/cli/table.ts'
import { explain } from '../../src/cli/yargs.ts'

// Two parsers read one table: node:util's is fast, yargs has the words. They must agree.

beforeAll(() => {
  vi.stubGlobal('VERSION', '0.0.0')
})

const word = fc.stringMatching(/^[a-z][a-z0-9.]{0,8}[a-z]$/)

function valueOf({ type, choices }: OptionSpec): fc.Arbitrary<string> {
  if (choices !== undefined) return fc.constantFrom(...choices)
  return type === 'number' ? fc.integer({ min: 0, max: 999_999 }).map(String) : word
}

/** An option as a person may type it: with a space, with an equals sign, or by its letter. */
function typed(name: string, spec: OptionSpec): fc.Arbitrary<string[]> {
  const names = spec.alias === undefined ? [`--${name}`] : [`--${name}`, `-${spec.alias}`]
  const flag = fc.constantFrom(...names)
  if (spec.type === 'boolean') return flag.map((text) => [text])
  return fc
    .tuple(flag, valueOf(spec), fc.boolean())
    .map(([text, value, joined]) =>
      joined && text.startsWith('--') ? [`${text}=${value}`] : [text, value],
    )
}

function line(spec: CommandSpec): fc.Arbitrary<string[]> {
  const options = Object.entries({ ...spec.options, ...globalOptions })
  const chosen = fc
    .subarray(options, { maxLength: Math.min(5, options.length) })
    .chain((rows) => fc.tuple(...rows.map(([name, option]) => typed(name, option))))
  const counts =
    spec.positionals === undefined
      ? [0, 0]
      : spec.positionals.endsWith('…') || spec.positionals.startsWith('[')
        ? [spec.positionals.startsWith('[') ? 0 : 1, 4]
        : [1, 1]
  const given = fc.array(word, { minLength: counts[0] ?? 0, maxLength: counts[1] ?? 0 })
  return fc
    .tuple(given, chosen)
    .chain(([positionals, flags]) =>
      fc.shuffledSubarray([...positionals.map((text) => [text]), ...flags], {
        minLength: positionals.length + flags.length,
      }),
    )
    .map((parts) => parts.flat())
}

const byName = commands.map(({ spec }) => [spec.name, spec] as const)

describe('the two parsers', () => {
  test.for(byName)('agree on every well-formed line of rootling %s', async ([name, spec]) => {
    await fc.assert(
      fc.asyncProperty(line(spec), async (args) => {
        const fast = parseLine(spec, args)
        const slow = await explain([...name.split(' '), ...args])
        expect(fast).not.toBeNull()
        expect(slow?.row.spec.name).toBe(name)
        expect(slow?.parsed).toEqual({ ...fast })
      }),
      // A thousand lines in all.
      { numRuns: 31 },
    )
  })

  test.for(byName)('both refuse an option that rootling %s lacks', async ([name, spec]) => {
    const args = spec.positionals === undefined ? ['--zebra'] : ['a.test', '--zebra']
    expect(parseLine(spec, args)).toBeNull()
    await expect(explain([...name.split(' '), ...args])).rejects.toMatchObject({ code: 'usage' })
  })
})
