import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { TrustStore } from '../../platform/trust-store.ts'
import { readScopes } from '../../src/authority/scope.ts'
import { installAuthority, permitNames } from '../../src/trust/install.ts'
import { forgetTrustedScope, uninstallAuthority } from '../../src/trust/uninstall.ts'
import { makeAnchor } from '../platform/world.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { broken, createStore, createWorld, shown, typesOf } from './memory-stores.ts'

/** Stores that trust an authority with the scopes `local` and `work`. */
async function installed(stores: readonly TrustStore[] = [createStore('a')]) {
  const state = await temporaryState()
  const world = createWorld(state, stores)
  await installAuthority(world, {}, { permit: ['dev.example.com'], name: 'work' })
  const refused = createWorld(state, stores, false)
  return { ...createWorld(state, stores), stores, refused }
}

const hint = () => 'rootling ca list'

describe('uninstallAuthority', () => {
  test('removes every root of the authority without asking, and keeps the authority', async () => {
    const world = await installed()
    const { authority, outcomes, plannedCommands } = await uninstallAuthority(world, {}, {})
    expect([authority, plannedCommands]).toEqual(['untouched', null])
    expect(shown(outcomes)).toEqual(['a: removed', 'a: removed'])
    expect(await readScopes(world.state)).toHaveLength(2)
    expect([world.questions, world.events]).toEqual([[], []])
  })

  test('leaves the roots of other authorities, unless they are asked for', async () => {
    const world = await installed()
    const [store] = world.stores as [TrustStore]
    const other = makeAnchor()
    await store.install(other)
    await uninstallAuthority(world, {}, {})
    expect(await store.list()).toEqual([other])
    expect(world.events).toEqual([{ type: 'others-left', anchors: [other] }])
    const refused = uninstallAuthority(world.refused, {}, { others: true })
    await expect(refused).rejects.toMatchObject({
      code: 'cancelled',
      message: 'Cancelled; nothing was changed.',
    })
    expect(await store.list()).toEqual([other])
    const { outcomes } = await uninstallAuthority(world, {}, { others: true })
    expect(shown(outcomes)).toEqual(['a: was-absent', 'a: was-absent', 'a: removed'])
    expect(world.questions).toMatchObject([{ type: 'remove', deletesAuthority: false }])
  })

  test('removes what the stores hold where there is no authority any more', async () => {
    const world = await installed()
    await rm(world.state.path, { recursive: true })
    const { outcomes } = await uninstallAuthority(world, {}, {})
    expect(shown(outcomes)).toEqual(['a: removed', 'a: removed'])
    expect(existsSync(world.state.path)).toBe(false)
    expect(await uninstallAuthority(world, {}, {})).toMatchObject({ outcomes: [] })
    expect(world.events).toEqual([{ type: 'nothing-installed' }])
  })

  test('deletes the authority when the person agrees and no store holds a root', async () => {
    const world = await installed()
    const request = { deleteAuthority: true }
    const refused = uninstallAuthority(world.refused, {}, request)
    await expect(refused).rejects.toMatchObject({ code: 'cancelled' })
    expect(await readScopes(world.state)).toHaveLength(2)
    expect(await uninstallAuthority(world, {}, request)).toMatchObject({ authority: 'deleted' })
    expect(existsSync(world.state.path)).toBe(false)
    expect(world.questions).toMatchObject([{ type: 'remove', deletesAuthority: true }])
  })

  test('keeps the authority while one store still holds a root', async () => {
    const world = await installed([createStore('a', { uninstall: broken }), createStore('b')])
    const change = await uninstallAuthority(world, {}, { deleteAuthority: true })
    expect(change.authority).toBe('kept')
    expect(shown(change.outcomes)).toEqual(['a: failed', 'a: failed', 'b: removed', 'b: removed'])
    expect(await readScopes(world.state)).toHaveLength(2)
  })

  test('asks and deletes nothing in a dry run', async () => {
    const uninstalls: string[] = []
    const store = createStore('a')
    const dry = { ...store, uninstall: async () => void uninstalls.push('a') }
    const world = await installed([dry])
    const request = { deleteAuthority: true, others: true }
    const change = await uninstallAuthority(world, { dryRun: true }, request)
    expect(change).toMatchObject({ authority: 'untouched', plannedCommands: [] })
    expect(shown(change.outcomes)).toEqual(['a: would-remove', 'a: would-remove'])
    expect(await readScopes(world.state)).toHaveLength(2)
    expect([world.questions, uninstalls.length]).toEqual([[], 2])
  })
})

describe('forgetTrustedScope', () => {
  test('removes one root, deletes its scope, and leaves the others', async () => {
    const world = await installed()
    const refused = forgetTrustedScope(world.refused, {}, 'work', hint)
    await expect(refused).rejects.toMatchObject({ code: 'cancelled' })
    const { deleted, outcomes } = await forgetTrustedScope(world, {}, 'work', hint)
    expect([deleted, shown(outcomes)]).toEqual([true, ['a: removed']])
    expect((await readScopes(world.state)).map(({ name }) => name)).toEqual(['local'])
    expect(world.questions).toEqual([{ type: 'forget-scope', name: 'work' }])
  })

  test('keeps the scope while a store still holds its root', async () => {
    const world = await installed([createStore('a', { uninstall: broken })])
    const { deleted, outcomes } = await forgetTrustedScope(world, {}, 'work', hint)
    expect([deleted, shown(outcomes)]).toEqual([false, ['a: failed']])
    expect(await readScopes(world.state)).toHaveLength(2)
  })

  test('keeps the scope in a dry run', async () => {
    const world = await installed()
    const change = await forgetTrustedScope(world, { dryRun: true }, 'work', hint)
    expect(change).toMatchObject({ deleted: false, plannedCommands: [] })
    expect(await readScopes(world.state)).toHaveLength(2)
    expect(world.questions).toEqual([])
  })

  test('deletes a damaged scope, and says that its root may still be trusted', async () => {
    const world = await installed()
    await rm(join(world.state.path, 'scopes', 'work', 'root.pem'))
    const { deleted, outcomes } = await forgetTrustedScope(world, {}, 'work', hint)
    expect([deleted, outcomes]).toEqual([true, []])
    expect(typesOf(world.events)).toEqual(['scope-damaged'])
  })

  test('names the scopes that there are where it finds none of that name', async () => {
    const world = await installed()
    const lost = forgetTrustedScope(world, {}, 'wrok', (names) => names.join(' '))
    await expect(lost).rejects.toMatchObject({ code: 'no-scope', hint: 'local work' })
  })
})

test('a scope that was permitted is uninstalled with the others', async () => {
  const state = await temporaryState()
  const world = createWorld(state, [createStore('a')])
  await permitNames(world, {}, { permit: ['dev.example.com'] })
  const { outcomes } = await uninstallAuthority(world, {}, {})
  expect(shown(outcomes)).toEqual(['a: was-absent', 'a: removed'])
})
