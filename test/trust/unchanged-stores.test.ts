import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createAnchor } from '../../platform/pem.ts'
import { lackingSince } from '../../src/trust/unchanged-stores.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { createStore } from './memory-stores.ts'

const [one, two] = ['one', 'two'].map((text) => createAnchor(Buffer.from(text))) as [
  ReturnType<typeof createAnchor>,
  ReturnType<typeof createAnchor>,
]

async function existingState(): Promise<StateDirectory> {
  const state = await temporaryState()
  mkdirSync(state.path, { recursive: true, mode: 0o700 })
  return state
}

/** A store whose program takes a while, with the stamp of its files. */
function slowStore() {
  const memory = createStore('slow')
  const files = { stamp: 'a' as string | null, asked: 0, whenAsked: () => undefined as void }
  const store = createStore('slow', {
    stamp: async () => files.stamp,
    async has(anchor) {
      files.asked++
      files.whenAsked()
      return memory.has(anchor)
    },
    install: memory.install,
    uninstall: memory.uninstall,
  })
  return { store, files }
}

test('a store that trusts the roots is asked again only when its files changed', async () => {
  const state = await existingState()
  const { store, files } = slowStore()
  const outcomes = async (anchors = [one]): Promise<string[]> =>
    (await lackingSince(state, [store], anchors)).map(({ outcome }) => outcome)
  expect(await outcomes()).toEqual(['would-install'])
  expect(await outcomes()).toEqual(['would-install'])
  expect(files.asked).toBe(2)
  await store.install(one)
  files.stamp = 'b'
  expect(await outcomes()).toEqual(['already-installed'])
  expect(await outcomes()).toEqual(['already-installed'])
  expect(files.asked).toBe(3)
  // Another root was never asked about.
  expect(await outcomes([one, two])).toEqual(['already-installed', 'would-install'])
  expect(files.asked).toBe(4)
  // Somebody else takes the root out.
  await store.uninstall(one)
  files.stamp = 'c'
  expect(await outcomes()).toEqual(['would-install'])
  expect(await outcomes()).toEqual(['would-install'])
})

test('what a store says while its files change is not remembered', async () => {
  const state = await existingState()
  const { store, files } = slowStore()
  await store.install(one)
  files.whenAsked = () => void (files.stamp = `${files.asked}`)
  for (const asked of [1, 2]) {
    await lackingSince(state, [store], [one])
    expect(files.asked).toBe(asked)
  }
  files.stamp = null
  files.whenAsked = () => undefined
  await lackingSince(state, [store], [one])
  await lackingSince(state, [store], [one])
  expect(files.asked).toBe(4)
})

test('a damaged memory is none, and nothing is written that was known', async () => {
  const state = await existingState()
  const { store, files } = slowStore()
  await store.install(one)
  await lackingSince(state, [store], [one])
  const file = readdirSync(state.path).find((name) => name === 'trusting-stores.json')
  expect(file).toBeDefined()
  for (const text of [
    '',
    '{}',
    '{"trusting":{"slow":{"stamp":"a","roots":1}}}',
    '['.repeat(5000),
  ]) {
    writeFileSync(join(state.path, 'trusting-stores.json'), text)
    const before = files.asked
    await lackingSince(state, [store], [one])
    expect(files.asked).toBe(before + 1)
  }
})
