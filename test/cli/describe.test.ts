import { expect, test } from 'vitest'
import type { Scope } from '../../src/authority/scope.ts'
import { describeConstraints } from '../../src/cli/describe.ts'
import { localConstraints } from '../../src/x509/name-constraints.ts'

const scope = (more: Partial<Scope>) =>
  ({ use: 'servers', permitted: [], constraints: localConstraints, ...more }) as unknown as Scope

test('a scope of our own is said to sign local names, and an adopted root what it permits', () => {
  expect(describeConstraints(scope({}))).toBe('local names')
  const dns = [...localConstraints.dns, 'dev.example.com']
  const wider = { permitted: ['dev.example.com'], constraints: { ...localConstraints, dns } }
  expect(describeConstraints(scope(wider))).toBe('local names, dev.example.com')
  const adopted = { dns: ['corp.example'], ip: ['10.0.0.0/8'] }
  expect(describeConstraints(scope({ constraints: adopted }))).toBe('corp.example, 10.0.0.0/8')
  expect(describeConstraints(scope({ constraints: { dns: [], ip: [] } }))).toBe('no name')
  expect(describeConstraints(scope({ constraints: null }))).toBe('any name (unconstrained)')
})
