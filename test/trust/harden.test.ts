import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { allFormsOf, type TrustStore } from '../../platform/trust-store.ts'
import { permitScope } from '../../src/authority/create.ts'
import { deleteAuthority, forgetScope } from '../../src/authority/delete.ts'
import { openScope, readScopes, type Scope } from '../../src/authority/scope.ts'
import { issue } from '../../src/certificates/issue.ts'
import { namedAuthority } from '../../src/home/state-directory.ts'
import { trustForeignRoot } from '../../src/trust/foreign-root.ts'
import { installAuthority, permitNames } from '../../src/trust/install.ts'
import { anchorOf, trustOfScopes } from '../../src/trust/machine-stores.ts'
import { beginRotation, rotate, switchRotation } from '../../src/trust/rotate.ts'
import { uninstallAuthority } from '../../src/trust/uninstall.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { createStore, createWorld, shown } from './memory-stores.ts'

const harden = { harden: true }

/** A system store that holds the copies of hardened roots, as that of Debian does. */
function system(changes: Partial<TrustStore> = {}): TrustStore {
  const inner = createStore('system', { kind: 'system' })
  return {
    ...inner,
    takesCopies: true,
    has: async (anchor) =>
      (await Promise.all((anchor.copies ?? [anchor]).map(inner.has))).every(Boolean),
    install: async (anchor) => {
      for (const each of anchor.copies ?? [anchor]) await inner.install(each)
    },
    uninstall: async (anchor) => {
      for (const each of allFormsOf(anchor)) await inner.uninstall(each)
    },
    ...changes,
  }
}

async function start() {
  const state = await temporaryState()
  const stores = [system(), createStore('nss'), createStore('java', { kind: 'java' })]
  const world = createWorld(state, stores)
  const { scopes } = await installAuthority(world, {}, null, harden)
  const [scope] = scopes as [Scope]
  return { state, world, stores, scope }
}

const heldBy = async (stores: readonly TrustStore[]): Promise<string[][]> =>
  Promise.all(
    stores.map(async (store) => (await store.list()).map(({ fingerprint }) => fingerprint)),
  )

/** What the stores of `start` hold of a scope. */
function formsOf(scope: Scope): string[][] {
  const anchor = anchorOf(scope)
  const inSystem = (anchor.copies ?? [anchor]).map(({ fingerprint }) => fingerprint)
  return [inSystem, [anchor.fingerprint], [anchor.fingerprint]]
}

describe('install --harden', () => {
  test('gives the system store both copies, and the others the root', async () => {
    const { world, stores, scope } = await start()
    expect(formsOf(scope).map(({ length }) => length)).toEqual([2, 1, 1])
    expect(await heldBy(stores)).toEqual(formsOf(scope))
    const again = await installAuthority(world, {}, null, harden)
    expect(shown(again.outcomes)).toEqual(stores.map(({ id }) => `${id}: already-installed`))
  })

  test.each([0, 1])('is not whole when the system store lacks copy %i', async (missing) => {
    const { world, stores, scope } = await start()
    const copy = anchorOf(scope).copies?.[missing]
    if (copy !== undefined) await stores[0]?.uninstall(copy)
    const outcomes = await trustOfScopes(world, { kinds: ['system'] }, [scope])
    expect(shown(outcomes)).toEqual(['system: not-trusted'])
    await installAuthority(world, {}, null)
    expect((await heldBy(stores)).map((held) => held.toSorted())).toEqual(
      formsOf(scope).map((held) => held.toSorted()),
    )
  })

  test.each([
    ['another system store', [createStore('Fedora', { kind: 'system' })], /not with Fedora/],
    ['a second one beside', [system(), createStore('WSL', { kind: 'system' })], /not with WSL/],
    ['no system store', [createStore('nss')], /not with this machine/],
  ])('is refused before anything is made: %s', async (_, stores, sentence) => {
    const state = await temporaryState()
    for (const options of [{}, { dryRun: true }, { kinds: ['nss'] as const }]) {
      const world = createWorld(state, stores)
      const refused = installAuthority(world, options, null, harden)
      await expect(refused).rejects.toMatchObject({
        code: 'usage',
        message: expect.stringMatching(sentence),
        hint: 'Leave out --harden',
      })
    }
    expect(await readScopes(state)).toEqual([])
  })

  test('is refused where an ordinary authority exists, and beside --unconstrained', async () => {
    const state = await temporaryState()
    const world = createWorld(state, [system()])
    const request = { permit: [], unconstrained: true }
    const unconstrained = installAuthority(world, {}, request, harden)
    await expect(unconstrained).rejects.toMatchObject({ code: 'usage' })
    expect(await readScopes(state)).toEqual([])
    await installAuthority(world, {}, null)
    await expect(installAuthority(world, {}, null, harden)).rejects.toMatchObject({
      code: 'usage',
      hint: 'To replace it without a gap by one that is: rootling ca rotate --harden',
    })
  })

  test('hardens the scopes that are added later, but those without constraints', async () => {
    const { state, world } = await start()
    await permitNames(world, {}, { permit: ['dev.example.com'], name: 'work' })
    await permitNames(world, {}, { permit: [], unconstrained: true })
    await permitScope(state, { permit: [], private: true, name: 'vpn' }, new Date())
    const scopes = await readScopes(state)
    expect(scopes.map(({ name, copies }) => [name, copies !== null])).toEqual([
      ['local', true],
      ['unconstrained', false],
      ['vpn', false],
      ['work', true],
    ])
    const elsewhere = createWorld(state, [createStore('Fedora', { kind: 'system' })])
    const more = permitNames(elsewhere, {}, { permit: ['b.example.com'] })
    await expect(more).rejects.toMatchObject({ code: 'usage' })
    const { outcomes } = await installAuthority(elsewhere, {}, null)
    expect(outcomes.map(({ outcome }) => outcome)).toEqual(['failed', 'installed', 'failed'])
    expect(outcomes[0]?.hint).toMatch(/: rootling ca rotate SCOPE --no-harden$/)
  })

  test('plans the same changes in a dry run, with placeholders', async () => {
    const state = await temporaryState()
    const asked: string[] = []
    const install = async ({ name }: { name: string }): Promise<void> => void asked.push(name)
    const stores = [system({ install }), createStore('nss', { install })]
    const world = { ...createWorld(state, stores), findStores: async () => stores }
    await installAuthority(world, { dryRun: true }, null, harden)
    expect(asked).toEqual(['rootling-XXXXXXXX', 'rootling-XXXXXXXX'])
    expect(await readScopes(state)).toEqual([])
  })

  test('keeps the root out of the system store, where it would free what the copies stop', async () => {
    const { world, scope } = await start()
    for (const pem of [scope.root.toString(), scope.copies?.pem ?? '']) {
      const contents = Buffer.from(pem)
      const trusted = trustForeignRoot(world, {}, { contents, source: 'root.pem' })
      await expect(trusted).rejects.toMatchObject({ code: 'usage', hint: 'rootling install' })
    }
  })
})

describe('uninstall', () => {
  const remove = { others: false }

  test('removes every form from every store', async () => {
    const { world, stores, scope } = await start()
    // As Debian's hook does, which copies the system store.
    for (const copy of anchorOf(scope).copies ?? []) await stores[2]?.install(copy)
    const { outcomes } = await uninstallAuthority(world, {}, remove)
    expect(shown(outcomes)).toEqual(stores.map(({ id }) => `${id}: removed`))
    expect(await heldBy(stores)).toEqual([[], [], []])
  })

  test('says that it removed what a killed install left', async () => {
    const { world, stores, scope } = await start()
    const [first] = anchorOf(scope).copies ?? []
    if (first !== undefined) await stores[0]?.uninstall(first)
    const { outcomes } = await uninstallAuthority(world, { kinds: ['system'] }, remove)
    expect(shown(outcomes)).toEqual(['system: removed'])
    expect(await stores[0]?.list()).toEqual([])
  })

  test('finds every form when the authority is gone', async () => {
    const { state, world, stores } = await start()
    await deleteAuthority(state)
    await uninstallAuthority(world, {}, remove)
    expect(await heldBy(stores)).toEqual([[], [], []])
  })

  test('finds every form when scope.json is gone', async () => {
    const { state, world, stores } = await start()
    await rm(join(state.path, 'scopes/local/scope.json'))
    await uninstallAuthority(world, {}, { deleteAuthority: true })
    expect(await heldBy(stores)).toEqual([[], [], []])
  })

  test('leaves the copies of another authority alone', async () => {
    const { state, stores, scope } = await start()
    const other = namedAuthority(state, 'other')
    await mkdir(other.path, { recursive: true })
    await uninstallAuthority(createWorld(other, stores), {}, remove)
    expect(await heldBy(stores)).toEqual(formsOf(scope))
  })
})

describe('ca rotate', () => {
  test('hardens an ordinary scope, keeps it so, and undoes it', async () => {
    const state = await temporaryState()
    const stores = [system(), createStore('nss'), createStore('java', { kind: 'java' })]
    const world = createWorld(state, stores)
    await installAuthority(world, {}, null)
    const outDir = await temporaryDirectory()
    await issue(state, { names: ['shop.test'], files: { outDir } }, new Date())
    for (const [asked, hardened] of [
      [true, true],
      [undefined, true],
      [false, false],
    ] as const) {
      const { stoppedAt, next, renewals } = await rotate(world, {}, 'local', asked)
      expect([stoppedAt, next.copies !== null]).toEqual([null, hardened])
      expect(renewals.map(({ outcome }) => outcome)).toEqual(['renewed'])
      expect(await heldBy(stores)).toEqual(formsOf(await openScope(state, 'local')))
    }
  })

  test('asks the system store for the new root before the old one leaves, and the other way', async () => {
    const inner = system()
    const calls: string[] = []
    const store: TrustStore = {
      ...inner,
      install: async (anchor) => {
        calls.push(`install ${anchor.fingerprint}`)
        await inner.install(anchor)
      },
      uninstall: async (anchor) => {
        calls.push(`uninstall ${anchor.fingerprint}`)
        await inner.uninstall(anchor)
      },
    }
    const state = await temporaryState()
    const world = createWorld(state, [store])
    await installAuthority(world, {}, null)
    const old = anchorOf(await openScope(state, 'local'))
    calls.length = 0
    const { next } = await rotate(world, {}, 'local', true)
    const { fingerprint, copies = [] } = anchorOf(next)
    expect(calls).toEqual([`install ${fingerprint}`, `uninstall ${old.fingerprint}`])
    calls.length = 0
    const back = anchorOf((await rotate(world, {}, 'local', false)).next)
    expect(calls).toEqual([
      `install ${back.fingerprint}`,
      ...[fingerprint, ...copies.map((copy) => copy.fingerprint)].map(
        (each) => `uninstall ${each}`,
      ),
    ])
  })

  test.each([
    ['before the switch', false],
    ['after it', true],
  ])('goes on with a rotation that ended %s, but not as another kind', async (_, switched) => {
    const { state, world, stores } = await start()
    const begun = await beginRotation(state, 'local', new Date(), false)
    if (switched) await switchRotation(state, begun)
    await expect(rotate(world, {}, 'local', true)).rejects.toMatchObject({
      code: 'usage',
      message: 'An interrupted rotation of local makes a scope that is not hardened.',
    })
    const { stoppedAt, next } = await rotate(world, {}, 'local')
    expect([stoppedAt, next.copies]).toEqual([null, null])
    expect(await heldBy(stores)).toEqual(formsOf(await openScope(state, 'local')))
  })

  test('is refused for a scope that may sign any name, or that no store holds', async () => {
    const { state, world } = await start()
    await permitScope(state, { permit: [], unconstrained: true }, new Date())
    await permitScope(state, { permit: [], private: true, name: 'vpn' }, new Date())
    for (const name of ['unconstrained', 'vpn']) {
      const refused = rotate(world, {}, name, true)
      await expect(refused).rejects.toMatchObject({ code: 'usage' })
    }
  })

  test('of a hardened scope is refused where its copies were not tried, before it begins', async () => {
    const { state } = await start()
    const fedora = createWorld(state, [createStore('Fedora', { kind: 'system' })])
    const refused = rotate(fedora, {}, 'local')
    await expect(refused).rejects.toMatchObject({
      code: 'usage',
      hint: 'rootling ca rotate local --no-harden',
    })
    const { stoppedAt } = await rotate(fedora, {}, 'local', false)
    expect(stoppedAt).toBe(null)
  })
})

describe('the files of a hardened scope', () => {
  test('are checked before anything is signed', async () => {
    const { state } = await start()
    const path = join(state.path, 'scopes/local/root-openssl.pem')
    const pem = await readFile(path, 'utf8')
    await writeFile(path, pem.replace('M', 'N'))
    await expect(openScope(state, 'local')).rejects.toMatchObject({ code: 'corrupt-state' })
    await rm(path)
    await expect(openScope(state, 'local')).rejects.toMatchObject({
      code: 'corrupt-state',
      message: `${path} is missing.`,
    })
    await writeFile(path, pem)
    expect((await openScope(state, 'local')).copies?.path).toBe(path)
  })

  test('are deleted with it', async () => {
    const { state } = await start()
    expect(await forgetScope(state, 'local')).toEqual([])
    expect(await readScopes(state)).toEqual([])
  })

  test('are not there for an ordinary one, whose scope.json says nothing new', async () => {
    const state = await temporaryState()
    await installAuthority(createWorld(state, [system()]), {}, null)
    const json = JSON.parse(
      await readFile(join(state.path, 'scopes/local/scope.json'), 'utf8'),
    ) as { files: object }
    expect(Object.keys(json.files)).toEqual([
      'root.pem',
      'intermediate.pem',
      'intermediate-key.pem',
    ])
    expect(Object.keys(json)).not.toContain('hardened')
  })
})
