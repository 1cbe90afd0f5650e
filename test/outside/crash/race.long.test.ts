import { rm } from 'node:fs/promises'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { readScopes } from '../../../src/authority/scope.ts'
import { readRecord } from '../../../src/storage/files/record.ts'
import { tree, violations } from './invariants.ts'
import { bundleChild, startChild, workplace, type Bundle } from './processes.ts'

const eight = Array.from({ length: 8 }, (_, i) => i)
let bundle: Bundle

beforeAll(async () => {
  bundle = await bundleChild()
})
afterAll(() => bundle.remove())

async function place() {
  const { root, state, out } = await workplace()
  onTestFinished(() => rm(root, { recursive: true }))
  return { state, out }
}

test('eight processes that start at once make one authority, and lose nothing', async () => {
  const { state, out } = await place()
  const where = ['--state', state, '--out', out, '--count', '3']
  const children = eight.map((i) => startChild(bundle, ['issue', `app${i}.localhost`, ...where]))
  const ended = await Promise.all(children.map((child) => child.ended))
  expect(ended.filter(({ exitCode }) => exitCode !== 0)).toEqual([])

  expect((await readScopes({ path: state, owner: null })).map(({ name }) => name)).toEqual([
    'local',
  ])
  const acknowledged = ended.flatMap(({ stdout }) =>
    [...stdout.matchAll(/issued (\w+)/g)].map(([, serial]) => serial),
  )
  const record = await readRecord({ path: state, owner: null })
  expect(record.map(({ serialNumber }) => serialNumber).toSorted()).toEqual(acknowledged.toSorted())
  expect(acknowledged).toHaveLength(24)
  expect(await violations(state, out)).toEqual([])
  expect(await tree(out)).toHaveLength(16)
})

test('eight processes that replace the same two files leave a pair', async () => {
  const { state, out } = await place()
  const where = ['--state', state, '--out', out, '--count', '3']
  const children = eight.map(() => startChild(bundle, ['issue', 'localhost', ...where]))
  const ended = await Promise.all(children.map((child) => child.ended))
  expect(ended.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
  expect(await violations(state, out)).toEqual([])
  expect(await tree(out)).toEqual(['localhost-key.pem', 'localhost.pem'])
})

test('eight processes that permit the same name make one scope of it', async () => {
  const { state, out } = await place()
  const children = eight.map(() =>
    startChild(bundle, ['permit', 'a.example.com', '--state', state]),
  )
  const ended = await Promise.all(children.map((child) => child.ended))
  expect(ended.filter(({ exitCode }) => exitCode !== 0)).toEqual([])
  const scopes = await readScopes({ path: state, owner: null })
  expect(scopes.map(({ name }) => name)).toEqual(['a-example-com'])
  expect(await violations(state, out)).toEqual([])
})
