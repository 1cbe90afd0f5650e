import * as fc from 'fast-check'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import type { CommandSpec } from '../../src/cli/command.ts'
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
})
