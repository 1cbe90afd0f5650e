import { describe, expect, test } from 'vitest'
import type { StoreKind } from '../../platform/trust-store.ts'
import {
  allWell,
  findInstalledAnchors,
  installAnchors,
  trustStatus,
  uninstallAnchors,
} from '../../src/trust/stores.ts'
import { anchor, otherAnchor } from '../platform/anchors.ts'
import { broken, createStore, shown } from './memory-stores.ts'

test('goes through the life of a root', async () => {
  const stores = [createStore('a'), createStore('b', { kind: 'system' })]
  expect(shown(await trustStatus(stores, [anchor]))).toEqual(['a: not-trusted', 'b: not-trusted'])
  expect(shown(await installAnchors(stores, [anchor]))).toEqual(['a: installed', 'b: installed'])
  const again = await installAnchors(stores, [anchor])
  expect(shown(again)).toEqual(['a: already-installed', 'b: already-installed'])
  expect(allWell(await trustStatus(stores, [anchor]))).toBe(true)
  expect(await findInstalledAnchors(stores)).toEqual([anchor])
  expect(shown(await uninstallAnchors(stores, [anchor]))).toEqual(['a: removed', 'b: removed'])
  expect(shown(await uninstallAnchors(stores, [anchor]))).toEqual([
    'a: was-absent',
    'b: was-absent',
  ])
  expect(allWell(await trustStatus(stores, [anchor]))).toBe(false)
})

test('tries every store although one fails, and says why it failed', async () => {
  const stores = [createStore('a', { install: broken }), createStore('b')]
  const outcomes = await installAnchors(stores, [anchor])
  expect(shown(outcomes)).toEqual(['a: failed', 'b: installed'])
  expect(outcomes[0]).toMatchObject({ reason: 'It broke.', hint: 'Repair it' })
  expect(allWell(outcomes)).toBe(false)
})

test('passes over a broken store when it looks for what is left', async () => {
  const good = createStore('b')
  await good.install(anchor)
  expect(await findInstalledAnchors([createStore('a', { list: broken }), good])).toEqual([anchor])
})

test('believes no store that took the root and does not trust it', async () => {
  const outcomes = await installAnchors([createStore('a', { install: async () => {} })], [anchor])
  expect(outcomes[0]).toMatchObject({
    outcome: 'failed',
    reason: 'a took the root and does not trust it.',
  })
})

test('believes no store that let the root go and still trusts it', async () => {
  const store = createStore('a', { uninstall: async () => {} })
  await store.install(anchor)
  const [outcome] = await uninstallAnchors([store], [anchor])
  expect(outcome).toMatchObject({ outcome: 'failed', reason: 'a still trusts the root.' })
})

test('asks no store for proof in a dry run', async () => {
  const nothing = async () => {}
  const stores = [createStore('a', { install: nothing })]
  const options = { dryRun: true }
  expect(shown(await installAnchors(stores, [anchor], options))).toEqual(['a: would-install'])
  const full = createStore('a', { uninstall: nothing })
  await full.install(anchor)
  expect(shown(await uninstallAnchors([full], [anchor], options))).toEqual(['a: would-remove'])
})

test.each([
  ['absent', 'skipped', 'skipped'],
  ['missing-tool', 'failed', 'failed'],
  ['unsupported', 'failed', 'skipped'],
] as const)('reports a store that is %s once', async (code, whenInstalling, whenRemoving) => {
  const unavailable = { available: false, code, reason: 'So it is.', hint: 'do this' } as const
  const store = createStore('a', { availability: async () => unavailable })
  const both = [anchor, otherAnchor]
  expect(shown(await installAnchors([store], both))).toEqual([`a: ${whenInstalling}`])
  const outcomes = await uninstallAnchors([store], both)
  expect(shown(outcomes)).toEqual([`a: ${whenRemoving}`])
  expect(outcomes[0]).toMatchObject({ anchor: null, reason: 'So it is.', hint: 'do this' })
})

test('lets Java wait for the system store, and the others not', async () => {
  const events: string[] = []
  const slow = (id: string, kind: StoreKind, milliseconds: number) => {
    const inner = createStore(id)
    return createStore(id, {
      kind,
      has: (root) => inner.has(root),
      async install(root) {
        events.push(`${id} starts`)
        await new Promise((resolve) => setTimeout(resolve, milliseconds))
        await inner.install(root)
        events.push(`${id} ends`)
      },
    })
  }
  const stores = [slow('java', 'java', 1), slow('nss', 'nss', 1), slow('system', 'system', 40)]
  const seen: string[] = []
  const outcomes = await installAnchors(stores, [anchor], {
    onOutcome: ({ store }) => void seen.push(store.id),
  })
  expect(events.indexOf('java starts')).toBeGreaterThan(events.indexOf('system ends'))
  expect(events.indexOf('nss ends')).toBeLessThan(events.indexOf('system ends'))
  expect(seen).toEqual(['nss', 'system', 'java'])
  expect(outcomes.map(({ store }) => store.id)).toEqual(['java', 'nss', 'system'])
})

describe('a store that cannot be changed', () => {
  const why = {
    available: false,
    code: 'unsupported',
    reason: 'It is on a read-only file system.',
    hint: 'put it there',
    removalHint: 'take it out',
  } as const

  async function holding() {
    const store = createStore('a', { availability: async () => why })
    await store.install(anchor)
    return store
  }

  test('is asked all the same', async () => {
    const store = await holding()
    expect(shown(await trustStatus([store], [anchor]))).toEqual(['a: trusted'])
    expect(shown(await installAnchors([store], [anchor]))).toEqual(['a: already-installed'])
    expect(await findInstalledAnchors([store])).toEqual([anchor])
    const [, other] = await trustStatus([store], [anchor, otherAnchor])
    expect(other).toMatchObject({ outcome: 'failed', reason: why.reason, hint: 'put it there' })
  })

  test('fails to uninstall a root that it holds, and says so', async () => {
    const outcomes = await uninstallAnchors([await holding()], [anchor, otherAnchor])
    expect(shown(outcomes)).toEqual(['a: failed', 'a: skipped'])
    expect(outcomes[0]).toMatchObject({
      anchor: anchor.name,
      reason: 'It holds the root, and cannot be changed. It is on a read-only file system.',
      hint: 'take it out',
    })
  })

  test('fails to uninstall where nobody can say whether it holds the root', async () => {
    const store = createStore('a', { availability: async () => why, has: broken })
    const [outcome] = await uninstallAnchors([store], [anchor])
    expect(outcome).toMatchObject({ outcome: 'failed', reason: why.reason })
  })
})

describe('after a failure', () => {
  test('reports what the store says, not what the program said', async () => {
    const held = createStore('inner')
    const failsAfter = (verb: 'install' | 'uninstall') => async (root: typeof anchor) => {
      await held[verb](root)
      await broken()
    }
    const store = createStore('a', {
      has: held.has,
      list: held.list,
      install: failsAfter('install'),
      uninstall: failsAfter('uninstall'),
    })
    expect(shown(await installAnchors([store], [anchor]))).toEqual(['a: installed'])
    expect(shown(await uninstallAnchors([store], [anchor]))).toEqual(['a: removed'])
  })

  test('reports the failure where the store cannot be asked either', async () => {
    let asked = 0
    const has = async () => (asked++ === 0 ? false : Promise.reject(new Error('no answer')))
    const [outcome] = await installAnchors([createStore('a', { has, install: broken })], [anchor])
    expect(outcome).toMatchObject({ outcome: 'failed', reason: 'It broke.', hint: 'Repair it' })
  })
})

test('changes several roots at once where the store can', async () => {
  const calls: string[] = []
  const held = createStore('inner')
  const all = (verb: 'install' | 'uninstall') => async (roots: readonly (typeof anchor)[]) => {
    calls.push(`${verb} ${roots.length}`)
    for (const root of roots) await held[verb](root)
  }
  const together = { install: all('install'), uninstall: all('uninstall') }
  const store = createStore('a', { has: held.has, list: held.list, together })
  const both = [anchor, otherAnchor]
  expect(shown(await installAnchors([store], both))).toEqual(['a: installed', 'a: installed'])
  expect(shown(await uninstallAnchors([store], both))).toEqual(['a: removed', 'a: removed'])
  expect(calls).toEqual(['install 2', 'uninstall 2'])
})

test('a root that only some programs trust is trusted, and an installation mends it', async () => {
  const held = createStore('inner')
  const whole = createStore('whole')
  const changes = { has: held.has, list: held.list, trustsFully: whole.has }
  const store = createStore('a', { ...changes, uninstall: held.uninstall })
  await held.install(anchor)
  const [status] = await trustStatus([store], [anchor])
  expect(status).toMatchObject({
    outcome: 'trusted',
    reason: expect.stringMatching(/^by some programs only/),
  })
  const [stays] = await installAnchors([store], [anchor])
  const reason = 'a took the root, but only some programs trust it.'
  expect(stays).toMatchObject({ outcome: 'failed', reason })
  const mending = createStore('a', { ...changes, install: whole.install })
  expect(shown(await installAnchors([mending], [anchor]))).toEqual(['a: installed'])
  expect(shown(await uninstallAnchors([store], [anchor]))).toEqual(['a: removed'])
})
