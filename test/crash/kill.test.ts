import { rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readScopes } from '../../src/authority.ts'
import { violations } from './invariants.ts'
import { bundleChild, runChild, startChild, workplace, type Bundle } from './processes.ts'

/** Kills in all; ROOTLING_KILLS=1000 is the long form. */
const kills = Number(process.env['ROOTLING_KILLS'] ?? 70)
const each = Math.ceil(kills / 5)
let bundle: Bundle

beforeAll(async () => {
  bundle = await bundleChild()
})
afterAll(() => bundle.remove())

/** Kills a child at a random moment of its work; `false`: it had ended before. */
async function killAtRandom(args: readonly string[], within: number): Promise<boolean> {
  const child = startChild(bundle, args)
  await child.ready
  await sleep(Math.random() * within)
  child.process.kill('SIGKILL')
  const { signal } = await child.ended
  return signal === 'SIGKILL'
}

const options = { timeout: 60_000 + kills * 2000 }

test(`creation survives ${each} kills: a whole authority or none`, options, async () => {
  let killed = 0
  for (let i = 0; i < each; i++) {
    const { root, state, out } = await workplace()
    const args = ['create', '--state', state]
    killed += Number(await killAtRandom(args, 40))
    await runChild(bundle, ['settle', '--state', state])
    expect(await violations(state, out)).toEqual([])
    await runChild(bundle, args)
    expect((await readScopes({ path: state, owner: null })).map(({ name }) => name)).toEqual([
      'local',
    ])
    expect(await violations(state, out)).toEqual([])
    await rm(root, { recursive: true })
  }
  expect(killed).toBeGreaterThan(0)
})

test(`permitting survives ${each} kills: each scope is whole or absent`, options, async () => {
  const { root, state, out } = await workplace()
  await runChild(bundle, ['create', '--state', state])
  let killed = 0
  for (let i = 0; i < each; i++) {
    const args = ['permit', `dev${i}.example.com`, '--state', state]
    killed += Number(await killAtRandom(args, 40))
    await runChild(bundle, ['settle', '--state', state])
    expect(await violations(state, out)).toEqual([])
  }
  expect(killed).toBeGreaterThan(0)
  await rm(root, { recursive: true })
})

test(`issuing survives ${each} kills: pairs match and are in the record`, options, async () => {
  const { root, state, out } = await workplace()
  // The same two files are replaced again and again, where a torn pair would show.
  const args = ['issue', 'localhost', '--count', '1000', '--state', state, '--out', out]
  await runChild(bundle, ['create', '--state', state])
  let killed = 0
  for (let i = 0; i < each; i++) {
    killed += Number(await killAtRandom(args, 120))
    await runChild(bundle, ['settle', '--state', state])
    expect(await violations(state, out)).toEqual([])
  }
  expect(killed).toBe(each)
  await rm(root, { recursive: true })
})

test.each(['renew', 'rekey'])(
  `%s survives ${each} kills: files match and are in the record`,
  options,
  async (verb) => {
    const { root, state, out } = await workplace()
    await runChild(bundle, ['issue', 'localhost', '--state', state, '--out', out])
    await runChild(bundle, ['issue', 'shop.test', '127.0.0.1', '--state', state, '--out', out])
    for (let i = 0; i < each; i++) {
      expect(await killAtRandom([verb, '--count', '1000', '--state', state], 120)).toBe(true)
      await runChild(bundle, ['settle', '--state', state])
      expect(await violations(state, out)).toEqual([])
    }
    await rm(root, { recursive: true })
  },
)
