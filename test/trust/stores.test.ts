import { expect, test } from 'vitest'
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
