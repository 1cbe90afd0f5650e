import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { permitScope } from '../../src/authority/create.ts'
import { openScope } from '../../src/authority/scope.ts'
import { issue } from '../../src/certificates/issue.ts'
import { keptCertificate } from '../../src/certificates/kept.ts'
import { updateAllRoots } from '../../src/storage/files/all-roots.ts'
import { exclusively } from '../../src/storage/files/unfinished-writes.ts'
import { planRotation } from '../../src/trust/decide-rotation.ts'
import { installAuthority, permitNames } from '../../src/trust/install.ts'
import { anchorOf } from '../../src/trust/machine-stores.ts'
import { addNames, beginRotation, rotate, switchRotation } from '../../src/trust/rotate.ts'
import type { RotationPlan } from '../../src/trust/rotation-plan.ts'
import { fingerprintOf } from '../../src/x509/parsed-certificate.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { treeOf } from '../helpers/tree.ts'
import { createStore, createWorld } from './memory-stores.ts'

/** Trusted scopes `local` and `work`, with certificates of every kind that a plan tells apart. */
async function start() {
  const state = await temporaryState()
  const absent = async () => ({ available: false, code: 'absent', reason: 'None.' }) as const
  const stores = [
    createStore('system', { kind: 'system', takesCopies: true }),
    createStore('nss'),
    createStore('other', { availability: absent }),
  ]
  const now = (): Date => new Date('2026-05-01T10:00:00Z')
  const world = { ...createWorld(state, stores), now }
  await installAuthority(world, {}, null)
  await permitNames(world, {}, { permit: ['a.example.com'], name: 'work' })
  await permitScope(state, { permit: [], private: true, name: 'vpn' }, now())
  const outDir = await temporaryDirectory()
  const files = { outDir, extra: { pkcs12: true } } as const
  const pkcs12 = { password: 'secret', legacy: false }
  await issue(state, { names: ['shop.test'], files: { outDir } }, now())
  await issue(state, { names: ['hook.test'], files: { outDir }, onRenew: 'true' }, now())
  await issue(state, { names: ['p12.test'], files, pkcs12 }, now())
  await issue(state, { names: ['printed.test'], files: null }, now())
  await issue(state, { names: ['a.example.com'], files: { outDir } }, now())
  await issue(state, { names: ['gate.test'], scope: 'vpn', files: { outDir } }, now())
  await exclusively(state, () => updateAllRoots(state, { make: 'roots.pem' }))
  return { ...world, stores, path: (name: string): string => join(outDir, name) }
}

type Started = Awaited<ReturnType<typeof start>>

/** What a plan says before, in the words of what is done after. */
function foretold({ old, next, outcomes, renewals, effects }: RotationPlan) {
  const done = { 'would-install': 'installed', 'would-remove': 'removed' } as const
  const isDone = (outcome: string): outcome is keyof typeof done => outcome in done
  const { fingerprint: _made, ...scope } = next
  return {
    old: anchorOf(old).fingerprint,
    scope,
    stores: outcomes.map(({ store, outcome }) => [
      store.id,
      isDone(outcome) ? done[outcome] : outcome,
    ]),
    renewals: renewals.map(({ serialNumber }) => serialNumber),
    effects,
  }
}

type Rotated = NonNullable<Awaited<ReturnType<typeof addNames>>>

function told(old: string, { next, outcomes, renewals, effects }: Rotated) {
  const { name, use, permitted, constraints, rootNotAfter, copies } = next
  return {
    old,
    scope: { name, use, permitted, constraints, rootNotAfter, hardened: copies !== null },
    stores: outcomes.map(({ store, outcome }) => [store.id, outcome]),
    renewals: renewals.map(({ previous }) => previous.serialNumber),
    effects,
  }
}

const contents = async ({ state, stores }: Started) => ({
  tree: treeOf(state.path),
  held: await Promise.all(stores.map((store) => store.list())),
})

describe('a plan of a rotation', () => {
  const nothing = async (): Promise<void> => undefined
  const begin = async ({ state, now }: Started): Promise<void> =>
    void (await beginRotation(state, 'local', now()))
  const cases: [string, Parameters<typeof planRotation>[2], (world: Started) => Promise<void>][] = [
    ['an ordinary scope', { name: 'local' }, nothing],
    ['a scope that is hardened', { name: 'local', harden: true }, nothing],
    ['a scope that gets names', { name: 'work', add: ['c.example.net'] }, nothing],
    ['a scope that no store holds', { name: 'vpn' }, nothing],
    ['a rotation that had made the new scope', { name: 'local' }, begin],
    [
      'a rotation that had switched',
      { name: 'local' },
      async (world) => {
        const begun = await beginRotation(world.state, 'local', world.now())
        await switchRotation(world.state, begun)
      },
    ],
    [
      'a rotation that was killed between the renames of the switch',
      { name: 'local' },
      async (world) => {
        await begin(world)
        const path = join(world.state.path, 'scopes/local')
        renameSync(path, `${path}.old`)
      },
    ],
    [
      'a scope that is hardened no more',
      { name: 'local', harden: false },
      async (world) => void (await rotate(world, {}, 'local', true)),
    ],
  ]

  test.each(cases)(
    'of %s says what is then done, and changes nothing',
    async (_, request, prepare) => {
      const world = await start()
      await prepare(world)
      const before = await contents(world)
      const plan = await planRotation(world, {}, request)
      expect(await contents(world)).toEqual(before)
      expect(plan.unsignable).toEqual([])
      const { name, harden, add } = request
      const rotated = await rotate(world, {}, name, harden, add)
      expect(rotated.stoppedAt).toBe(null)
      const old = anchorOf(plan.old).fingerprint
      expect(told(old, rotated)).toEqual(foretold(plan))
      if (plan.next.fingerprint !== null)
        expect(plan.next.fingerprint).toBe(fingerprintOf(rotated.next.root))
      // The person was asked about the same plan.
      const [question] = world.questions
      expect(question).toMatchObject({ type: 'rotate', plan: { old: { name } } })
    },
  )

  test('tells files to reload from those that have a hook, and names what stays old', async () => {
    const world = await start()
    const { path, state } = world
    // The certificate of `serve`, which reads it again by itself.
    const kept = await keptCertificate(state, ['localhost'], {}, world.now())
    const { effects, unfiled, renewals } = await planRotation(world, {}, { name: 'local' })
    expect(renewals.map(({ certPath }) => certPath)).toEqual([
      ...['shop.test.pem', 'hook.test.pem', 'p12.test.pem'].map(path),
      kept.certPath,
    ])
    expect(unfiled.map(({ identifiers }) => identifiers[0]?.value)).toEqual(['printed.test'])
    expect(effects).toEqual({
      reload: ['shop.test.pem', 'p12.test.pem'].map(path),
      updated: [join(state.path, 'scopes/local/root.pem'), join(state.path, 'roots.pem')],
      stale: [path('p12.test.p12')],
    })
  })
})

test('a no changes nothing, of ca rotate and of ca permit --add', async () => {
  const world = await start()
  const before = await contents(world)
  const refused = { ...world, confirm: async () => false }
  const cancelled = { code: 'cancelled', message: 'Cancelled; nothing was changed.' }
  await expect(rotate(refused, {}, 'local')).rejects.toMatchObject(cancelled)
  const more = { permit: ['c.example.net'], name: 'work' }
  await expect(addNames(refused, {}, more)).rejects.toMatchObject(cancelled)
  expect(await contents(world)).toEqual(before)
})

test('the new root of a named authority keeps that name', async () => {
  const state = { ...(await temporaryState()), authority: 'team' }
  const world = createWorld(state, [createStore('nss')])
  await installAuthority(world, {}, null)
  const { next } = await rotate(world, {}, 'local')
  expect(next.root.subject).toMatch(/CN=Rootling root team [0-9a-f]{8}$/m)
  const { intermediate } = await openScope(state, 'local')
  expect(intermediate.subject).toMatch(/CN=Rootling issuing team [0-9a-f]{8}$/m)
})
