import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { TrustStore } from '../../platform/trust-store.ts'
import { adoptRoot } from '../../src/authority/adopt.ts'
import { permitScope } from '../../src/authority/create.ts'
import { openScope, type Scope } from '../../src/authority/scope.ts'
import { issue } from '../../src/certificates/issue.ts'
import { deleteScope, rotationParts } from '../../src/storage/files/scopes.ts'
import { installAuthority, permitNames } from '../../src/trust/install.ts'
import { anchorOf } from '../../src/trust/machine-stores.ts'
import {
  addNames,
  beginRotation,
  renewRotated,
  rotate,
  switchRotation,
} from '../../src/trust/rotate.ts'
import { installAnchors, uninstallAnchors } from '../../src/trust/stores.ts'
import { forgetTrustedScope } from '../../src/trust/uninstall.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { runTool } from '../helpers/tools.ts'
import { makeRoot } from '../platform/world.ts'
import { broken, createStore, createWorld, shown, typesOf } from './memory-stores.ts'

/** A trusted authority with one certificate in a file. */
async function start(store: TrustStore = createStore('a'), onRenew?: string) {
  const state = await temporaryState()
  const world = createWorld(state, [store])
  const { scopes } = await installAuthority(world, {}, null)
  const [old] = scopes as [Scope]
  const outDir = await temporaryDirectory()
  await issue(state, { names: ['shop.test'], files: { outDir }, onRenew }, new Date())
  const certificate = async () =>
    new X509Certificate(await readFile(join(outDir, 'shop.test.pem'), 'utf8'))
  return { ...createWorld(state, [store]), store, old, certificate }
}

type Started = Awaited<ReturnType<typeof start>>

/** The store trusts the new root alone, which issued the certificate, and nothing is left aside. */
async function expectRotated({ state, store, old, certificate }: Started): Promise<void> {
  const next = await openScope(state, 'local')
  expect(anchorOf(next).fingerprint).not.toBe(anchorOf(old).fingerprint)
  expect(await store.list()).toEqual([anchorOf(next)])
  expect((await certificate()).verify(next.intermediate.publicKey)).toBe(true)
  expect(await rotationParts(state)).toEqual([])
}

describe('rotate', () => {
  test('replaces the root, renews the certificates and removes the old root', async () => {
    const world = await start()
    const { stoppedAt, next, outcomes, renewals, hooks } = await rotate(world, {}, 'local')
    expect([stoppedAt, hooks]).toEqual([null, []])
    expect(shown(outcomes)).toEqual(['a: installed', 'a: removed'])
    expect(renewals.map(({ outcome }) => outcome)).toEqual(['renewed'])
    expect(anchorOf(next)).toEqual(anchorOf(await openScope(world.state, 'local')))
    expect(typesOf(world.events)).toEqual(['rotating', 'renewed'])
    await expectRotated(world)
  })

  test('trusts the new root before the old one leaves', async () => {
    const inner = createStore('a')
    const calls: string[] = []
    const store: TrustStore = {
      ...inner,
      install: async (anchor) => {
        calls.push(`install ${anchor.name}`)
        await inner.install(anchor)
      },
      uninstall: async (anchor) => {
        calls.push(`uninstall ${anchor.name}`)
        await inner.uninstall(anchor)
      },
    }
    const world = await start(store)
    calls.length = 0
    const { next } = await rotate(world, {}, 'local')
    expect(calls).toEqual([
      `install ${anchorOf(next).name}`,
      `uninstall ${anchorOf(world.old).name}`,
    ])
  })

  const steps: Record<string, (world: Started) => Promise<void>> = {
    begin: async ({ state }) => void (await beginRotation(state, 'local', new Date())),
    install: async ({ store, state }) => {
      const { next } = await beginRotation(state, 'local', new Date())
      await installAnchors([store], [anchorOf(next)])
    },
    switch: async ({ state }) => {
      await switchRotation(state, await beginRotation(state, 'local', new Date()))
    },
    renew: async ({ state }) => {
      await renewRotated(state, await beginRotation(state, 'local', new Date()), new Date())
    },
    remove: async ({ store, old }) => {
      await uninstallAnchors([store], [anchorOf(old)])
    },
  }
  const names = Object.keys(steps)

  test.each(names)('takes up a rotation that ended after the step %s', async (last) => {
    const world = await start()
    for (const name of names.slice(0, names.indexOf(last) + 1)) await steps[name]?.(world)
    const { stoppedAt } = await rotate(world, {}, 'local')
    expect(stoppedAt).toBe(null)
    await expectRotated(world)
  })

  test('issues from the old scope while a store does not trust the new root', async () => {
    const inner = createStore('a')
    let install: TrustStore['install'] = inner.install
    const world = await start({ ...inner, install: (anchor) => install(anchor) })
    install = broken
    const { stoppedAt, outcomes, renewals } = await rotate(world, {}, 'local')
    expect([stoppedAt, shown(outcomes), renewals]).toEqual(['install', ['a: failed'], []])
    expect(anchorOf(await openScope(world.state, 'local'))).toEqual(anchorOf(world.old))
    expect(await inner.list()).toEqual([anchorOf(world.old)])
    install = inner.install
    expect((await rotate(world, {}, 'local')).stoppedAt).toBe(null)
    await expectRotated(world)
  })

  test('keeps the old scope while a store still holds its root', async () => {
    const inner = createStore('a')
    let uninstall: TrustStore['uninstall'] = broken
    const world = await start({ ...inner, uninstall: (anchor) => uninstall(anchor) })
    const { stoppedAt, outcomes } = await rotate(world, {}, 'local')
    expect([stoppedAt, shown(outcomes)]).toEqual(['remove', ['a: failed']])
    expect(await rotationParts(world.state)).toEqual([{ name: 'local', part: '.old' }])
    uninstall = inner.uninstall
    expect((await rotate(world, {}, 'local')).stoppedAt).toBe(null)
    await expectRotated(world)
  })

  test('keeps the old root while a certificate needs it', async () => {
    const state = await temporaryState()
    const store = createStore('a')
    const world = createWorld(state, [store])
    const directory = dirname(makeRoot().leaf)
    const [certificateFile, keyFile] = [join(directory, 'ca.pem'), join(directory, 'ca.key')]
    const certificate = await readFile(certificateFile)
    const key = await readFile(keyFile, 'utf8')
    await adoptRoot(state, { certificate, certificateFile, key, keyFile }, new Date())
    const { scopes } = await installAuthority(world, {}, null)
    const outDir = await temporaryDirectory()
    await issue(state, { names: ['shop.example.com'], files: { outDir } }, new Date())
    const { stoppedAt, next, renewals } = await rotate(world, {}, 'local')
    expect([stoppedAt, renewals]).toMatchObject(['renew', [{ outcome: 'failed' }]])
    expect(next.constraints).not.toBe(null)
    expect(await store.list()).toEqual([...scopes, next].map((scope) => anchorOf(scope)))
    expect(await rotationParts(state)).toEqual([{ name: 'local', part: '.old' }])
  })

  test('runs the commands of renewed certificates', async () => {
    const world = await start(createStore('a'), 'exit 3')
    const { stoppedAt, hooks } = await rotate(world, {}, 'local')
    expect(stoppedAt).toBe(null)
    expect(hooks).toEqual([
      { command: 'exit 3', failure: expect.stringMatching(/^failed with exit code 3/) },
    ])
    await expectRotated(world)
  })

  test('throws for a scope that is not there', async () => {
    const world = await start()
    await expect(rotate(world, {}, 'work')).rejects.toMatchObject({ code: 'no-scope' })
  })
})

describe('what a rotation that stopped left beside a scope', () => {
  const secret = { permit: [], name: 'work', private: true }
  const trusted = { permit: ['a.example.com'], name: 'work' }

  test('goes with the scope, also out of the stores', async () => {
    const store = createStore('a')
    const world = await start(store)
    const [{ state }, b] = [world, createStore('b', { install: broken })]
    await permitNames(world, {}, trusted)
    const both = createWorld(state, [store, b])
    expect(await rotate(both, {}, 'work')).toMatchObject({ stoppedAt: 'install' })
    expect(await store.list()).toHaveLength(3)
    await forgetTrustedScope(world, {}, 'work', () => '')
    expect(await rotationParts(state)).toEqual([])
    expect(await store.list()).toEqual([anchorOf(world.old)])
  })

  test('never becomes the successor of a scope with another use', async () => {
    const world = await start()
    const { state, store } = world
    await permitScope(state, secret, new Date())
    await beginRotation(state, 'work', new Date())
    // As an older version did, which left the scope `work.next`.
    await deleteScope(state, 'work')
    await permitNames(world, {}, trusted)
    const roots = await store.list()
    await expect(rotate(world, {}, 'work')).rejects.toMatchObject({ code: 'corrupt-state' })
    expect(await store.list()).toEqual(roots)
  })
})

test('a root that excludes names is not rotated, since the new root would permit them', async () => {
  const state = await temporaryState()
  const directory = await temporaryDirectory()
  const [certificateFile, keyFile] = [join(directory, 'ca.pem'), join(directory, 'ca-key.pem')]
  const made = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=Team', '-days', '30']
  const constraints = 'nameConstraints=critical,permitted;DNS:test,excluded;DNS:prod.test'
  const { exitCode, stderr } = await runTool('openssl', [
    ...['req', ...made, '-keyout', keyFile, '-out', certificateFile],
    ...['-addext', 'keyUsage=critical,keyCertSign,cRLSign', '-addext', constraints],
  ])
  expect(exitCode, stderr).toBe(0)
  const [certificate, key] = [await readFile(certificateFile), await readFile(keyFile, 'utf8')]
  await adoptRoot(state, { certificate, certificateFile, key, keyFile }, new Date())
  await expect(beginRotation(state, 'local', new Date())).rejects.toMatchObject({
    code: 'usage',
    message: 'The root of the scope local excludes prod.test, which a new root would permit.',
  })
  expect(await rotationParts(state)).toEqual([])
})

describe('addNames', () => {
  const work = { permit: ['a.example.com'], name: 'work' }
  const more = { permit: ['c.example.net'], name: 'work' }

  test('rotates a scope into one that permits more, and its certificates with it', async () => {
    const world = await start()
    await permitNames(world, {}, work)
    const old = await openScope(world.state, 'work')
    const outDir = await temporaryDirectory()
    await issue(world.state, { names: ['a.example.com'], files: { outDir } }, new Date())
    const rotated = await addNames(world, {}, more)
    expect(rotated).toMatchObject({ stoppedAt: null, renewals: [{ outcome: 'renewed' }] })
    expect(shown(rotated?.outcomes ?? [])).toEqual(['a: installed', 'a: removed'])
    const scope = await openScope(world.state, 'work')
    expect(scope.permitted).toEqual(['a.example.com', 'c.example.net'])
    expect(anchorOf(scope)).not.toEqual(anchorOf(old))
    const names = ['a.example.com', 'c.example.net', 'localhost']
    const { record } = await issue(world.state, { names, files: null }, new Date())
    expect(record.scope).toBe('work')
    expect(await addNames(world, {}, more)).toBe(null)
    expect(anchorOf(await openScope(world.state, 'work'))).toEqual(anchorOf(scope))
  })

  test('an interrupted one is finished by the same line, and by a rotation', async () => {
    const inner = createStore('a')
    let install: TrustStore['install'] = inner.install
    const world = await start({ ...inner, install: (anchor) => install(anchor) })
    await permitNames(world, {}, work)
    install = broken
    expect(await addNames(world, {}, more)).toMatchObject({ stoppedAt: 'install' })
    await expect(addNames(world, {}, { ...more, permit: ['d.example.net'] })).rejects.toMatchObject(
      {
        message: 'An interrupted rotation of work does not add d.example.net.',
        hint: 'Finish it first: rootling ca rotate work',
      },
    )
    install = inner.install
    expect((await rotate(world, {}, 'work')).stoppedAt).toBe(null)
    expect((await openScope(world.state, 'work')).permitted).toEqual([
      ...work.permit,
      ...more.permit,
    ])
  })

  test('refuses scopes that take no names, and changes nothing', async () => {
    const world = await start()
    await permitNames(world, {}, { permit: [], unconstrained: true, name: 'any' })
    await expect(addNames(world, {}, { ...more, name: 'any' })).rejects.toMatchObject({
      code: 'usage',
    })
    await expect(addNames(world, {}, more)).rejects.toMatchObject({ code: 'no-scope' })
    await expect(addNames(world, {}, { ...more, permit: ['com'] })).rejects.toMatchObject({
      code: 'usage',
    })
    expect(await rotationParts(world.state)).toEqual([])
  })
})
