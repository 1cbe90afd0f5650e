import * as fc from 'fast-check'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { globalOptions, type CommandSpec, type OptionSpec } from '../../src/cli/command.ts'
import { parseLine } from '../../src/cli/parse.ts'
import { commands } from '../../src/cli/table.ts'
import { explain } from '../../src/cli/yargs.ts'
import { parts, scattered } from './typed-lines.ts'

// Two parsers read one table: node:util's is fast, yargs has the words. They must agree.

beforeAll(() => {
  vi.stubGlobal('VERSION', '0.0.0')
})

const line = (spec: CommandSpec): fc.Arbitrary<string[]> =>
  parts(spec).chain(({ positionals, flags }) => scattered(positionals, flags))

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

  test.for(
    byName.flatMap(([name, spec]) => {
      const switches = Object.entries<OptionSpec>({ ...spec.options, ...globalOptions }).filter(
        ([, { type }]) => type === 'boolean',
      )
      return switches.map(([option, { alias }]) => [name, spec, option, alias] as const)
    }),
  )(
    'both refuse rootling %s with a value for the switch --%3$s',
    async ([name, spec, option, alias]) => {
      const positionals = spec.positionals === undefined ? [] : ['a.test']
      const spellings = ['1', 'yes', 'TRUE', ''].map((value) => [`--${option}=${value}`])
      const short = alias === undefined ? [] : [[`-${alias}=1`], [`-${alias}1`], [`--${alias}=1`]]
      for (const given of [...spellings, ...short]) {
        const args = [...positionals, ...given]
        expect(parseLine(spec, args)).toBeNull()
        await expect(explain([...name.split(' '), ...args]), given.join(' ')).rejects.toMatchObject(
          {
            code: 'usage',
            message: `--${option} takes no value.`,
          },
        )
      }
    },
  )

  test.each(['--help=1', '-h1', '-h=1', '--version=1', '-V=1'])(
    'both refuse rootling uninstall %s',
    async (word) => {
      await expect(explain(['uninstall', word])).rejects.toMatchObject({
        code: 'usage',
        message: expect.stringMatching(/^--(?:help|version) takes no value\.$/),
      })
    },
  )
})
