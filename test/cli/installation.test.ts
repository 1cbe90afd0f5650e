import { expect, test } from 'vitest'
import { reportInstallation } from '../../src/cli/installation.ts'
import { createOutput, type Output } from '../../src/cli/output.ts'
import type { StoreOutcome } from '../../src/trust/stores.ts'

/** Returns what is said of stores with these outcomes, and the exit code. */
function report(...outcomes: readonly (readonly [string, StoreOutcome['outcome']])[]) {
  const notes: string[] = []
  const options = { json: false, quiet: true, env: {}, selected: { home: '/x' } }
  const output: Output = {
    ...createOutput(options),
    note: (text) => void notes.push(text),
    result: () => undefined,
  }
  const exitCode = reportInstallation(
    {
      created: false,
      scopes: [],
      plannedCommands: null,
      outcomes: outcomes.map(([id, outcome]) => ({
        store: { id, kind: 'java', title: id },
        anchor: null,
        outcome,
      })),
    },
    output,
  )
  return [exitCode, ...notes]
}

test('says of how many stores how many failed, and whether any trusts the CA', () => {
  expect(report(['a', 'failed'])).toEqual([3, 'The only store failed, so nothing trusts the CA.'])
  expect(report(['a', 'failed'], ['a', 'failed'], ['b', 'skipped'])).toEqual([
    3,
    'The only store failed, so nothing trusts the CA.',
  ])
  expect(report(['a', 'failed'], ['b', 'failed'])).toEqual([
    3,
    'All 2 stores failed, so nothing trusts the CA.',
  ])
  expect(report(['a', 'failed'], ['b', 'installed'], ['b', 'already-installed'])).toEqual([
    3,
    '1 of 2 stores failed; the others trust the CA.',
  ])
})
