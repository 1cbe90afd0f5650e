import { expect, test } from 'vitest'
import type { Scope } from '../../src/authority/scope.ts'
import type { Context } from '../../src/cli/context.ts'
import { trustWorld } from '../../src/cli/trust-world.ts'
import type { TrustEvent } from '../../src/trust/world.ts'
import { localConstraints } from '../../src/x509/name-constraints.ts'

/** What is printed about an event. */
function said(event: TrustEvent): string {
  const lines: string[] = []
  const print = (line: string): void => void lines.push(line)
  const context = { output: { note: print, warn: print } } as unknown as Context
  trustWorld({}, context).report(event)
  return lines.join('\n')
}

const thief = 'clients that take a common name for a host (curl, Python, Node, Java)'
const scope = { name: 'work', use: 'servers', permitted: ['dev.example.com'] } as const
const permitted = (changes: Partial<Scope>): TrustEvent => ({
  type: 'scope-permitted',
  scope: { ...scope, constraints: localConstraints, ...changes } as Scope,
  created: true,
})

test('ca permit says what a thief of the key can do', () => {
  const constrained = said(permitted({}))
  expect(constrained).toContain('which may sign local names, dev.example.com.')
  expect(constrained).toContain(thief)
  const free = said(permitted({ constraints: null }))
  expect(free).toContain('can impersonate any site, your bank included')
  expect(free).not.toContain(thief)
  const apart = said(permitted({ constraints: null, use: 'private' }))
  expect(apart).toContain('any server to the programs that are given its root')
})

test('trust says what a thief of the key of a constrained root can do', () => {
  const dns = { type: 'dns', value: 'app.test' } as const
  const ip = { type: 'ip', value: '10.0.0.0/8' } as const
  const constraints = { permitted: [dns, ip], excluded: [] }
  const facts = { subject: 'CN=Ada', constraints, uncritical: false, java: false }
  const event = { type: 'foreign-root', ...facts } as TrustEvent
  expect(said(event)).toMatch(
    /^The root calls itself “CN=Ada”\.\nIt may sign: only app\.test, 10\.0\.0\.0\/8\n/,
  )
  expect(said(event)).toContain(thief)
  expect(said({ ...event, constraints: null } as TrustEvent)).not.toContain(thief)
})
