import { expect, test } from 'vitest'
import { trustForeignRoot } from '../../src/trust/foreign-root.ts'
import { makeAnchor } from '../platform/world.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { createStore, createWorld, shown } from './memory-stores.ts'

const { pem, fingerprint } = makeAnchor()
const root = { contents: Buffer.from(pem), source: 'ada.pem' }

test('trusts a root whose fingerprint is the one expected, however it is written', async () => {
  const world = createWorld(await temporaryState(), [createStore('a')])
  const colons = fingerprint.toUpperCase().replace(/..(?!$)/g, '$&:')
  const change = await trustForeignRoot(world, {}, { ...root, fingerprint: colons })
  expect(change).toMatchObject({ fingerprint, constraints: null, plannedCommands: null })
  expect(shown(change.outcomes)).toEqual(['a: installed'])
  expect(world.questions).toEqual([])
  expect(world.events).toMatchObject([{ type: 'foreign-root', constraints: null }])
})

test.each([
  ['another fingerprint', '0'.repeat(64), 'not-trusted'],
  ['a short one', fingerprint.slice(2), 'usage'],
])('trusts nothing for %s', async (_, expected, code) => {
  const store = createStore('a')
  const world = createWorld(await temporaryState(), [store])
  const change = trustForeignRoot(world, {}, { ...root, fingerprint: expected })
  await expect(change).rejects.toMatchObject({ code })
  expect(await store.list()).toEqual([])
})

test('asks the person where no fingerprint is given, in a dry run too', async () => {
  const store = createStore('a', { install: async () => {} })
  const state = await temporaryState()
  const refused = trustForeignRoot(createWorld(state, [store], false), {}, root)
  await expect(refused).rejects.toMatchObject({ code: 'cancelled' })
  const world = createWorld(state, [store])
  const change = await trustForeignRoot(world, { dryRun: true }, root)
  expect(world.questions).toEqual([{ type: 'trust-foreign-root', fingerprint }])
  expect(shown(change.outcomes)).toEqual(['a: would-install'])
  expect(change.plannedCommands).toEqual([])
})

test('throws for a file that is not a root', async () => {
  const world = createWorld(await temporaryState(), [])
  const change = trustForeignRoot(world, {}, { contents: Buffer.from('no'), source: 'no.pem' })
  await expect(change).rejects.toMatchObject({ code: 'bad-certificate' })
})
