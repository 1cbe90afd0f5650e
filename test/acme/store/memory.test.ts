import { expect, test } from 'vitest'
import type { Account } from '../../../src/acme/resources.ts'
import { createMemory } from '../../../src/acme/store/memory.ts'
import { describeStore, recordBeside } from './contract.ts'

describeStore('memory', () => {
  const open = createMemory()
  return Promise.resolve({ ...recordBeside(), open: () => Promise.resolve(open()) })
})

test('a unit in memory conflicts where what it looked at has changed, and knows no more than it needs', async () => {
  const store = createMemory()()
  const account = { id: 'a', thumbprint: 't', contact: ['one'] } as unknown as Account
  const made = await store.open({})
  made.put('account', account)
  expect(await made.commit(null)).toBe('done')
  const [first, second, idle] = [
    await store.open({ account: 'a' }),
    await store.open({ account: 'a' }),
    await store.open({ account: 'a' }),
  ]
  for (const unit of [first, second, idle]) expect(unit.get('account', 'a')).toEqual(account)
  first.put('account', { ...account, contact: ['two'] })
  expect(await first.commit(null)).toBe('done')
  expect(second.get('account', 'a')).toEqual(account)
  second.put('eabKey', { id: 'k', key: 'key', createdAt: 0 })
  expect(await second.commit(null)).toBe('conflict')
  expect(await idle.commit(null)).toBe('done')
  expect((await store.open({})).get('account', 'a')).toBeUndefined()
  expect((await store.open({ eabKey: 'k' })).get('eabKey', 'k')).toBeUndefined()
})
