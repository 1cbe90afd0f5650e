import { X509Certificate } from 'node:crypto'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openScope, readScopes } from '../../../src/authority/scope.ts'
import { openSigner } from '../../../src/authority/signer.ts'
import { readInventory } from '../../../src/storage/files/record.ts'
import { scopeNames } from '../../../src/storage/files/scopes.ts'
import { tree, violations } from './invariants.ts'
import { long, tally } from '../../helpers/long.ts'
import { bundleChild, runChild, settle, startChild, workplace, type Bundle } from './processes.ts'
import { keysOf } from '../../../src/storage/files/keys.ts'

const kills = long ? 960 : 80
const each = kills / 8
let bundle: Bundle

beforeAll(async () => {
  bundle = await bundleChild()
})
afterAll(() => bundle.remove())

/** Kills a child at a random moment of its work, or finds that it had ended before. */
async function killAtRandom(
  args: readonly string[],
  within: number,
): Promise<{ killed: boolean; stdout: string }> {
  const child = startChild(bundle, args)
  await child.ready
  await sleep(Math.random() * within)
  child.process.kill('SIGKILL')
  const { signal, stdout } = await child.ended
  tally(`kills of ${args[0]} at random`, Number(signal === 'SIGKILL'))
  return { killed: signal === 'SIGKILL', stdout }
}

const options = { timeout: 900_000 + kills * 20_000 }

test(`creation survives ${each} kills: a whole authority or none`, options, async () => {
  let killed = 0
  for (let i = 0; i < each; i++) {
    const { root, state, out } = await workplace()
    const args = ['create', '--state', state]
    killed += Number((await killAtRandom(args, 40)).killed)
    await settle(state)
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
    killed += Number((await killAtRandom(args, 40)).killed)
    await settle(state)
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
    const { killed: now, stdout } = await killAtRandom(args, 120)
    killed += Number(now)
    await settle(state)
    expect(await violations(state, out)).toEqual([])
    const { certificates } = await readInventory({ path: state, owner: null })
    const recorded = new Set(certificates.map(({ serialNumber }) => serialNumber))
    const acknowledged = [...stdout.matchAll(/issued (\w+)\n/g)].map(([, serial]) => serial ?? '')
    expect(acknowledged.filter((serial) => !recorded.has(serial))).toEqual([])
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
      const { killed } = await killAtRandom([verb, '--count', '1000', '--state', state], 120)
      expect(killed).toBe(true)
      await settle(state)
      expect(await violations(state, out)).toEqual([])
    }
    await rm(root, { recursive: true })
  },
)

test(
  `rotation survives ${each} kills: one scope, and its certificates with it`,
  options,
  async () => {
    const { root, state, out } = await workplace()
    await runChild(bundle, ['issue', 'localhost', '--state', state, '--out', out])
    const args = ['rotate', '--count', '1000', '--state', state]
    for (let i = 0; i < each; i++) {
      expect((await killAtRandom(args, 150)).killed).toBe(true)
      await settle(state)
      expect(await violations(state, out)).toEqual([])
    }
    await runChild(bundle, ['rotate', '--state', state])
    expect((await readdir(join(state, 'scopes'))).toSorted()).toEqual(['local'])
    const [scope] = await readScopes({ path: state, owner: null })
    const leaf = new X509Certificate(await readFile(join(out, 'localhost.pem')))
    expect(scope !== undefined && leaf.verify(scope.intermediate.publicKey)).toBe(true)
    await rm(root, { recursive: true })
  },
)

test(`revoking survives ${each} kills: what was said to be revoked is`, options, async () => {
  const { root, state, out } = await workplace()
  const issueMany = ['issue', 'localhost', '--count', '60', '--state', state, '--out', out]
  let killed = 0
  for (let i = 0; i < each; i++) {
    if (i % 10 === 0) await runChild(bundle, issueMany)
    const attempt = await killAtRandom(['revoke', '--state', state], 100)
    killed += Number(attempt.killed)
    await settle(state)
    expect(await violations(state, out)).toEqual([])
    const { revocations } = await readInventory({ path: state, owner: null })
    const said = [...attempt.stdout.matchAll(/revoked (\w+)\n/g)].map(([, serial]) => serial ?? '')
    expect(said.filter((serial) => !revocations.has(serial))).toEqual([])
  }
  expect(killed).toBeGreaterThan(0)
  await rm(root, { recursive: true })
})

test(`deleting survives ${each} kills: no scope looks whole without its key`, options, async () => {
  let killed = 0
  for (let i = 0; i < each; i++) {
    const { root, state, out } = await workplace()
    const at = { path: state, owner: null }
    for (const args of [['create'], ['permit', 'dev.example.com']])
      await runChild(bundle, [...args, '--state', state])
    const notes = join(state, 'scopes', 'local', 'notes.txt')
    await writeFile(notes, 'precious')
    killed += Number((await killAtRandom(['delete', '--state', state], 8)).killed)
    for (const name of await scopeNames(at)) {
      const scope = await openScope(at, name).catch(() => null)
      if (scope !== null) await openSigner(keysOf(at), scope, new Date())
    }
    await runChild(bundle, ['delete', '--state', state])
    expect(await tree(state)).toEqual(['scopes', 'scopes/local', 'scopes/local/notes.txt'])
    expect([await readFile(notes, 'utf8'), await violations(state, out)]).toEqual(['precious', []])
    await rm(root, { recursive: true })
  }
  expect(killed).toBeGreaterThan(0)
})
