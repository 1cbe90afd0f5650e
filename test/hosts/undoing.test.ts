import { expect, test } from 'vitest'
import { undoing } from '../../src/cli/commands/hosts-add.ts'

const both = ['127.0.0.1', '::1']
const entries = (name: string, addresses: readonly string[]) =>
  addresses.map((address) => ({ name, address }))

test.each([
  ['a new name', [], both, both, 'rootling hosts remove w.test'],
  [
    'an address that was replaced',
    ['10.0.0.5'],
    ['10.0.0.6'],
    ['10.0.0.6'],
    'rootling hosts add w.test --address 10.0.0.5',
  ],
  [
    'one of two that went',
    ['::1'],
    ['127.0.0.1'],
    [],
    'rootling hosts add w.test --address ::1 --address 127.0.0.1',
  ],
  [
    'one that came to another',
    [],
    ['127.0.0.1', '0:0::1'],
    ['::1'],
    'rootling hosts add w.test --address 127.0.0.1',
  ],
])('what undoes %s', (_title, removed, wanted, added, command) => {
  const change = { added: entries('w.test', added), removed: entries('w.test', removed) }
  expect(undoing(change, new Map([['w.test', wanted]]), { force: undefined })).toBe(command)
})

test('names that changed in different ways have a command each', () => {
  const wanted = new Map(['a.test', 'b.test', 'same.test', 'bank.com'].map((name) => [name, both]))
  const change = {
    added: ['a.test', 'b.test', 'bank.com'].flatMap((name) => entries(name, both)),
    removed: [...entries('b.test', ['10.0.0.5']), ...entries('bank.com', ['10.0.0.7'])],
  }
  expect(undoing(change, wanted, { force: true })).toBe(
    'rootling hosts add b.test --address 10.0.0.5 --force; rootling hosts add bank.com --address 10.0.0.7 --force; rootling hosts remove a.test',
  )
})
