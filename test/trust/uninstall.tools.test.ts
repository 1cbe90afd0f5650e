import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { TrustStore } from '../../platform/trust-store.ts'
import { readScopes } from '../../src/authority/scope.ts'
import { anchorOf } from '../../src/trust/machine-stores.ts'
import { installAuthority, permitNames } from '../../src/trust/install.ts'
import { forgetTrustedScope, uninstallAuthority } from '../../src/trust/uninstall.ts'
import { makeAnchor } from '../platform/world.ts'
import { namedAuthority, type StateDirectory } from '../../src/home/state-directory.ts'
import type { Question } from '../../src/trust/world.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
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
    // They may be those of another user, so a person is asked.
    await expect(uninstallAuthority(world.refused, {}, {})).rejects.toMatchObject({
      code: 'cancelled',
    })
    expect(world.refused.questions).toMatchObject([{ type: 'remove-others', anchors: [{}, {}] }])
    const { outcomes } = await uninstallAuthority(world, {}, {})
    expect(typesOf(world.questions)).toEqual(['remove-others'])
    expect(shown(outcomes)).toEqual(['a: removed', 'a: removed'])
    expect(existsSync(world.state.path)).toBe(false)
    expect(await uninstallAuthority(world, {}, {})).toMatchObject({ outcomes: [] })
    expect(world.events).toEqual([{ type: 'nothing-installed' }])
  })

  test('deletes the directory of a state that holds nothing, and does not call it deleted', async () => {
    const state = await temporaryState()
    await mkdir(state.path, { recursive: true })
    const world = createWorld(state, [createStore('a')])
    const request = { deleteAuthority: true }
    expect(await uninstallAuthority(world, {}, request)).toMatchObject({ authority: 'untouched' })
    expect(existsSync(state.path)).toBe(false)
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

  test('names in the question what is deleted, and leaves and names what is not its own', async () => {
    const world = await installed()
    const thesis = join(world.state.path, 'src', 'thesis.txt')
    await mkdir(dirname(thesis))
    await writeFile(thesis, 'precious')
    const { left } = await uninstallAuthority(world, {}, { deleteAuthority: true })
    expect(left).toEqual([dirname(thesis), world.state.path])
    expect(await readFile(thesis, 'utf8')).toBe('precious')
    const authority = { state: world.state, scopes: ['local', 'work'] }
    expect(world.questions).toMatchObject([{ type: 'remove', authority }])
    const again = await uninstallAuthority(world, {}, { deleteAuthority: true })
    expect(again).toMatchObject({ authority: 'untouched', left: [] })
    expect(world.questions).toHaveLength(1)
  })

  test('asks about each named authority, and leaves the roots of those that stay', async () => {
    const world = await installed()
    const [store] = world.stores as [TrustStore]
    for (const name of ['keep', 'shop']) {
      const state = namedAuthority(world.state, name)
      await installAuthority(createWorld(state, world.stores), {}, null)
    }
    const questions: Question[] = []
    const asking = {
      ...world,
      confirm: async (question: Question) => {
        questions.push(question)
        return (
          question.type !== 'delete-named-authority' ||
          question.authority.state.authority === 'shop'
        )
      },
    }
    const stopped: string[] = []
    const beforeDeletion = async ({ path }: StateDirectory) => stopped.push(path)
    const request = { deleteAuthority: true, beforeDeletion }
    const { authority, named, left, outcomes } = await uninstallAuthority(asking, {}, request)
    const keep = namedAuthority(world.state, 'keep')
    const shop = namedAuthority(world.state, 'shop')
    expect([authority, left]).toEqual(['deleted', [world.state.path]])
    expect(named).toEqual([
      { state: keep, deleted: false },
      { state: shop, deleted: true },
    ])
    expect(stopped).toEqual([shop.path, world.state.path])
    expect(shown(outcomes)).toEqual(['a: removed', 'a: removed', 'a: removed'])
    expect(typesOf(questions)).toEqual([
      'remove',
      'delete-named-authority',
      'delete-named-authority',
    ])
    expect(existsSync(shop.path)).toBe(false)
    expect(await store.list()).toEqual((await readScopes(keep)).map(anchorOf))
    // Neither does a second run, which finds no authority any more, remove that root.
    await uninstallAuthority(world, {}, request)
    await uninstallAuthority(world, {}, {})
    expect(await store.list()).toHaveLength(1)
    await uninstallAuthority(world, {}, { others: true })
    expect(await store.list()).toEqual([])
  })

  test('deletes an authority whose scope has lost its scope.json, and finds its root', async () => {
    const world = await installed()
    await rm(join(world.state.path, 'scopes', 'work', 'scope.json'))
    const change = await uninstallAuthority(world, {}, { deleteAuthority: true })
    expect([change.authority, shown(change.outcomes)]).toEqual([
      'deleted',
      ['a: removed', 'a: removed'],
    ])
    expect(world.events).toEqual([])
    expect(existsSync(world.state.path)).toBe(false)
  })

  test('refuses to delete scopes behind a symbolic link before it changes anything', async () => {
    const world = await installed()
    const [store] = world.stores as [TrustStore]
    const scopes = join(world.state.path, 'scopes')
    const elsewhere = join(await temporaryDirectory(), 'scopes')
    await rename(scopes, elsewhere)
    await symlink(elsewhere, scopes)
    const refused = uninstallAuthority(world, {}, { deleteAuthority: true })
    await expect(refused).rejects.toMatchObject({ code: 'not-ours' })
    expect([await store.list(), world.questions]).toMatchObject([{ length: 2 }, []])
    expect(await readdir(elsewhere)).toEqual(['local', 'work'])
  })

  test('keeps the authority while one store still holds a root', async () => {
    const world = await installed([createStore('a', { uninstall: broken }), createStore('b')])
    const change = await uninstallAuthority(world, {}, { deleteAuthority: true })
    expect(change.authority).toBe('kept')
    expect(shown(change.outcomes)).toEqual(['a: failed', 'a: failed', 'b: removed', 'b: removed'])
    expect(await readScopes(world.state)).toHaveLength(2)
  })

  test('is kept by a store that cannot be read, unless that never held the root or it is forced', async () => {
    const unread = { has: broken, list: broken }
    const request = { deleteAuthority: true }
    for (const lacks of [undefined, async () => false]) {
      const store = createStore('a', lacks === undefined ? {} : { lacks })
      const world = await installed([store, createStore('b')])
      Object.assign(store, unread)
      const kept = await uninstallAuthority(world, {}, request)
      expect([kept.authority, shown(kept.outcomes)]).toEqual([
        'kept',
        ['a: failed', 'b: removed', 'b: removed'],
      ])
      const forced = await uninstallAuthority(world, {}, { ...request, force: true })
      expect([forced.authority, shown(forced.outcomes)[0]]).toEqual(['deleted', 'a: failed'])
      expect(existsSync(world.state.path)).toBe(false)
    }
    const store = createStore('a', { lacks: async () => true })
    const world = await installed([store])
    Object.assign(store, unread)
    const { authority, outcomes } = await uninstallAuthority(world, {}, request)
    expect(authority).toBe('deleted')
    expect(outcomes).toMatchObject([
      { outcome: 'skipped', reason: 'It broke. The root is not in it.' },
    ])
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

  test('deletes the scope all the same where that is forced', async () => {
    const world = await installed([createStore('a', { uninstall: broken })])
    const forced = await forgetTrustedScope(world, {}, 'work', hint, { force: true })
    expect([forced.deleted, shown(forced.outcomes)]).toEqual([true, ['a: failed']])
    expect(await readScopes(world.state)).toHaveLength(1)
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
