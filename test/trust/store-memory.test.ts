import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { readStoreMemory } from '../../src/storage/files/store-memory.ts'
import { installAuthority, permitNames } from '../../src/trust/install.ts'
import { trustOfScopes } from '../../src/trust/machine-stores.ts'
import { rotate } from '../../src/trust/rotate.ts'
import { forgetTrustedScope, uninstallAuthority } from '../../src/trust/uninstall.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { broken, createStore, createWorld, shown } from './memory-stores.ts'

// `install` remembers which kinds of stores were chosen, and which roots are in none.

async function open() {
  const state = await temporaryState()
  const stores = (['system', 'nss', 'java'] as const).map((kind) => createStore(kind, { kind }))
  return createWorld(state, stores)
}

test('status, rotations and later installations keep to the kinds that were chosen', async () => {
  const world = await open()
  const { scopes, kinds } = await installAuthority(world, { kinds: ['system'] }, null)
  expect(kinds).toEqual(['system'])
  expect(shown(await trustOfScopes(world, {}, scopes))).toEqual(['system: trusted'])
  const again = await installAuthority(world, {}, null)
  expect(shown(again.outcomes)).toEqual(['system: already-installed'])
  const permitted = await permitNames(world, {}, { permit: ['dev.example.com'] })
  expect(shown(permitted.outcomes)).toEqual(['system: installed'])
  const rotated = await rotate(world, {}, 'local')
  expect(shown(rotated.outcomes)).toEqual(['system: installed', 'system: removed'])
  const named = await trustOfScopes(world, { kinds: ['nss'] }, scopes)
  expect(shown(named)).toEqual(['nss: not-trusted'])
})

test('adds kinds to those that hold a root, and begins anew after an uninstallation', async () => {
  const world = await open()
  await installAuthority(world, { kinds: ['system'] }, null)
  await installAuthority(world, { kinds: ['nss'] }, null)
  const both = await rotate(world, {}, 'local')
  expect(shown(both.outcomes.slice(0, 2))).toEqual(['system: installed', 'nss: installed'])
  await uninstallAuthority(world, {}, {})
  await installAuthority(world, { kinds: ['java'] }, null)
  expect(shown((await installAuthority(world, {}, null)).outcomes)).toEqual([
    'java: already-installed',
  ])
  await uninstallAuthority(world, {}, {})
  const { outcomes } = await installAuthority(world, { kinds: ['system', 'nss', 'java'] }, null)
  expect(shown(outcomes)).toHaveLength(3)
})

test('makes an authority alone, and trusts it once that is asked for', async () => {
  const world = await open()
  const { created, outcomes, scopes } = await installAuthority(world, { kinds: [] }, null)
  expect([created, outcomes]).toEqual([true, []])
  expect(await readStoreMemory(world.state)).toEqual({ kinds: [], untrusted: ['local'] })
  expect(await trustOfScopes(world, {}, scopes)).toEqual([])
  const permitted = await permitNames(world, {}, { permit: ['dev.example.com'], name: 'work' })
  expect(permitted.outcomes).toEqual([])
  expect((await rotate(world, {}, 'local')).stoppedAt).toBe(null)
  const all = await installAuthority(world, {}, null)
  expect(shown(all.outcomes)).toHaveLength(6)
  expect(await readStoreMemory(world.state)).toEqual({ kinds: null, untrusted: [] })
})

test('knows whose root is in no store, after each way there', async () => {
  const world = await open()
  const untrusted = async () => (await readStoreMemory(world.state))?.untrusted
  await ensureAuthority(world.state, new Date())
  expect(await untrusted()).toEqual(['local'])
  await installAuthority(world, {}, null)
  expect(await untrusted()).toEqual([])
  await permitNames(world, {}, { permit: ['dev.example.com'], name: 'work' })
  await uninstallAuthority(world, { kinds: ['nss'] }, {})
  expect(await untrusted()).toEqual([])
  await uninstallAuthority(world, { dryRun: true }, {})
  expect(await untrusted()).toEqual([])
  await uninstallAuthority(world, {}, {})
  expect(await untrusted()).toEqual(['local', 'work'])
  await forgetTrustedScope(world, {}, 'work', () => '')
  expect(await untrusted()).toEqual(['local'])
  const deaf = createWorld(world.state, [createStore('a', { install: broken })])
  await installAuthority(deaf, {}, null)
  expect(await untrusted()).toEqual(['local'])
})

test('takes the roots of an older version, which remembered nothing, for trusted', async () => {
  const world = await open()
  await ensureAuthority(world.state, new Date())
  const path = join(world.state.path, 'stores.json')
  await writeFile(path, '{"kinds":["system"]')
  await expect(installAuthority(world, {}, null)).rejects.toMatchObject({
    code: 'corrupt-state',
    message: `${path} is damaged.`,
  })
  await writeFile(path, '{"kinds":null,"untrusted":[]}')
  await permitNames(world, { kinds: ['system'] }, { permit: ['dev.example.com'] })
  expect(await readFile(path, 'utf8')).toBe('{"kinds":null,"untrusted":[]}\n')
})
