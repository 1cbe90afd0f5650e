import assert from 'node:assert/strict'
import type { TrustStore } from '../../platform/trust-store.ts'
import { makeRoot, snapshot, type TestRoot } from './world.ts'

export interface Lifecycle {
  store: () => Promise<TrustStore>
  /** Where nothing of ours may stay. */
  trees: readonly string[]
  /** Whether a client of the store accepts this leaf. */
  proof?: (leaf: string) => boolean
  /** The subject of the root, where the store knows ours by it. */
  subject?: string
  /** The root, and one that is never installed; OpenSSL makes them when left out. */
  roots?: readonly [TestRoot, TestRoot]
  /** Whether the store can tell which roots are ours; all but p11-kit's can. */
  lists?: boolean
}

/** absent → install → listed → install again → uninstall → absent: what every adapter does. */
export async function lifecycle(options: Lifecycle) {
  const { store: find, trees, proof, subject, lists = true } = options
  const roots = options.roots ?? [makeRoot(subject), makeRoot('/CN=another root')]
  const [{ anchor, leaf }, { anchor: other }] = roots
  const before = snapshot(trees)
  const store = await find()
  assert.deepEqual(await store.availability(), { available: true })
  assert.equal(await store.has(anchor), false, 'absent before')
  assert.deepEqual(await store.list(), [])
  if (proof) assert.equal(proof(leaf), false, 'refused before')

  await store.install(anchor)
  assert.equal(await store.has(anchor), true, 'trusted')
  assert.equal(await (await find()).has(anchor), true, 'trusted when asked afresh')
  assert.equal(await store.has(other), false, 'another root is not')
  assert.deepEqual(await store.list(), lists ? [anchor] : [])
  if (proof) assert.equal(proof(leaf), true, 'accepted by a client')

  await store.install(anchor)
  assert.deepEqual(await store.list(), lists ? [anchor] : [], 'installed once')

  await store.uninstall(anchor)
  assert.equal(await store.has(anchor), false, 'absent after')
  assert.deepEqual(await store.list(), [])
  if (proof) assert.equal(proof(leaf), false, 'refused after')
  assert.deepEqual(snapshot(trees), before, 'nothing stays')
  await store.uninstall(anchor)
}
