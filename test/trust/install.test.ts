import { describe, expect, test } from 'vitest'
import { readScopes } from '../../src/authority/scope.ts'
import { installAuthority, permitNames } from '../../src/trust/install.ts'
import { anchorOf } from '../../src/trust/machine-stores.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { broken, createStore, createWorld, shown, typesOf } from './memory-stores.ts'

describe('installAuthority', () => {
  test('creates an authority once and trusts its root in every store', async () => {
    const state = await temporaryState()
    const stores = [createStore('a'), createStore('b', { kind: 'system' })]
    const world = createWorld(state, stores)
    const first = await installAuthority(world, {}, null)
    expect(first).toMatchObject({ created: true, plannedCommands: null })
    expect(first.scopes.map(({ name }) => name)).toEqual(['local'])
    expect(shown(first.outcomes)).toEqual(['a: installed', 'b: installed'])
    for (const store of stores)
      expect(await store.list()).toEqual(first.scopes.map((scope) => anchorOf(scope)))
    const second = await installAuthority(world, {}, null)
    expect(second.created).toBe(false)
    expect(shown(second.outcomes)).toEqual(['a: already-installed', 'b: already-installed'])
    expect(typesOf(world.events)).toEqual(['authority-created'])
    expect(world.questions).toEqual([])
  })

  test('uses only the kinds of stores that are selected', async () => {
    const stores = [createStore('a'), createStore('b', { kind: 'system' })]
    const world = createWorld(await temporaryState(), stores)
    const { outcomes } = await installAuthority(world, { kinds: ['system'] }, null)
    expect(shown(outcomes)).toEqual(['b: installed'])
  })

  test('tries every store although one fails', async () => {
    const stores = [createStore('a', { install: broken }), createStore('b')]
    const world = createWorld(await temporaryState(), stores)
    const { created, outcomes } = await installAuthority(world, {}, null)
    expect(created).toBe(true)
    expect(shown(outcomes)).toEqual(['a: failed', 'b: installed'])
    expect(outcomes[0]).toMatchObject({ reason: 'It broke.', hint: 'Repair it' })
  })

  test('permits further names with a scope of their own', async () => {
    const world = createWorld(await temporaryState(), [createStore('a')])
    const request = { permit: ['dev.example.com'], name: 'work' }
    const { created, scopes, outcomes } = await installAuthority(world, {}, request)
    expect(created).toBe(true)
    expect(scopes.map(({ name }) => name)).toEqual(['local', 'work'])
    expect(shown(outcomes)).toEqual(['a: installed', 'a: installed'])
    expect(typesOf(world.events)).toEqual(['authority-created', 'scope-permitted'])
  })

  test('makes nothing for a request that cannot be granted', async () => {
    const state = await temporaryState()
    const world = createWorld(state, [createStore('a')])
    await expect(installAuthority(world, {}, { permit: ['com'] })).rejects.toMatchObject({
      code: 'usage',
    })
    expect(await readScopes(state)).toEqual([])
  })

  test.each([
    [null, 1],
    [{ permit: ['dev.example.com'] }, 2],
  ])('makes nothing in a dry run, and plans with placeholders', async (request, placeholders) => {
    const state = await temporaryState()
    const store = createStore('a', { install: async () => {} })
    const world = createWorld(state, [store])
    const planned = await installAuthority(world, { dryRun: true }, request)
    expect(planned).toMatchObject({ created: false, scopes: [], plannedCommands: [] })
    expect(planned.outcomes.map(({ anchor, outcome }) => [anchor, outcome])).toEqual(
      Array.from({ length: placeholders }, () => ['rootling-XXXXXXXX', 'would-install']),
    )
    expect(await readScopes(state)).toEqual([])
    expect(world.events).toEqual([{ type: 'scope-planned', anchorName: 'rootling-XXXXXXXX' }])
  })
})

describe('permitNames', () => {
  test('trusts the new scope and leaves the others as they are', async () => {
    const store = createStore('a')
    const world = createWorld(await temporaryState(), [store])
    const request = { permit: ['dev.example.com'], name: 'work' }
    const { created, scopes, outcomes } = await permitNames(world, {}, request)
    expect(created).toBe(true)
    expect(scopes.map(({ name }) => name)).toEqual(['work'])
    expect(shown(outcomes)).toEqual(['a: installed'])
    expect(await store.list()).toHaveLength(1)
    const again = await permitNames(world, {}, request)
    expect(again.created).toBe(false)
    expect(shown(again.outcomes)).toEqual(['a: already-installed'])
  })

  test('refuses in a dry run too what cannot be permitted', async () => {
    const world = createWorld(await temporaryState(), [createStore('a')])
    const planned = permitNames(world, { dryRun: true }, { permit: ['com'] })
    await expect(planned).rejects.toMatchObject({ code: 'usage' })
  })
})
