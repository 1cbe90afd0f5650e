import { expect, test } from 'vitest'
import { chooseGroups, keyExchangeGroups } from '../../src/server/tls-settings.ts'
import { knowsMlKem } from '../helpers/post-quantum-node.ts'

test('prefers X25519MLKEM768 where it is known, and offers what else is known', () => {
  const knowing = (...known: string[]) =>
    chooseGroups((list) => list.split(/[/:]/).every((group) => known.includes(group)))
  expect(knowing('X25519MLKEM768', 'X25519', 'P-256')).toBe('X25519MLKEM768/X25519:P-256')
  expect(knowing('X25519', 'P-256')).toBe('X25519:P-256')
  expect(knowing('P-256')).toBe('P-256')
  expect(knowing()).toBe('P-256')
})

test('names the groups that this Node offers', () => {
  const classic = ['X25519', 'P-256']
  const expected = knowsMlKem(process.versions.openssl) ? ['X25519MLKEM768', ...classic] : classic
  expect(keyExchangeGroups()).toEqual(expected)
})
