import { expect, test, vi } from 'vitest'
import type { Context } from '../../src/cli/context.ts'
import { createOutput, type OutputOptions } from '../../src/cli/output.ts'
import { standardError } from '../../src/cli/standard-streams.ts'
import { trustWorld } from '../../src/cli/trust-world.ts'

/** What standard error is given when stores are waited for, by their seconds, and then a note. */
function shown(seconds: readonly number[], isTTY: boolean, options: Partial<OutputOptions> = {}) {
  const written: string[] = []
  vi.spyOn(standardError, 'isTTY', 'get').mockReturnValue(isTTY)
  vi.spyOn(standardError, 'write').mockImplementation((text) => void written.push(String(text)))
  const defaults = { json: false, quiet: false, env: { NO_COLOR: '1' }, selected: {} }
  const output = createOutput({ ...defaults, ...options })
  const { report } = trustWorld({}, { output } as Context)
  for (const each of seconds)
    report({ type: 'waiting', what: 'update-ca-certificates', seconds: each })
  output.note('done')
  return written
}

const line = (seconds: number): string => `Waiting for update-ca-certificates (${seconds} s)…`
const clear = '\r\u001B[K'

test('shows on a terminal what is waited for in one line, which the next text clears', () => {
  const expected = [`${clear}${line(1)}`, `${clear}${line(2)}`, clear, 'done\n']
  expect(shown([1, 2], true)).toEqual(expected)
})

test('says it elsewhere after a while, and then each minute', () => {
  const seconds = Array.from({ length: 130 }, (_, index) => index + 1)
  const expected = [...[20, 60, 120].map((each) => `${line(each)}\n`), 'done\n']
  expect(shown(seconds, false)).toEqual(expected)
  expect(shown(seconds, true, { env: { TERM: 'dumb', NO_COLOR: '1' } })).toEqual(expected)
})

test('shows nothing with --quiet and --json', () => {
  expect(shown([1, 60], true, { quiet: true })).toEqual([])
  expect(shown([1, 60], false, { json: true })).toEqual([])
})
