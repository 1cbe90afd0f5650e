import { expect, test } from 'vitest'
import { approvalNeeded } from '../../src/cli/steps.ts'

const permit = { kind: 'permit', text: 'sign dev.example.com' } as const

test('the command that approves keeps the options that were given, and what was allowed', () => {
  const hint = (args: object) => approvalNeeded([permit], { positionals: [], ...args }).hint
  expect(hint({})).toBe('If you trust who wrote it: rootling up --allow permit')
  expect(hint({ yes: true, allow: 'run' })).toBe(
    'If you trust who wrote it: rootling up --allow run,permit --yes',
  )
  expect(hint({ stores: 'system,nss', 'no-sudo': true, allow: 'permit, run' })).toBe(
    'If you trust who wrote it: rootling up --allow permit,run --no-sudo --stores system,nss',
  )
})
