import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import type { TrustStore } from '../../platform/trust-store.ts'
import { judgeStale } from '../../src/doctor/checks/roots.ts'
import { anchorOf, anchorWith } from '../../src/trust/machine-stores.ts'
import { makeWorld } from '../helpers/authority.ts'
import { foreignRoot } from '../project/foreign-roots.ts'
import { knownOf } from './known.ts'

test('a root of another user is a note while it is constrained and in force', async () => {
  const world = await makeWorld()
  const store = { id: 'system:debian', kind: 'system', title: 'the system' } as TrustStore
  const outcomes = [{ store, outcome: 'trusted', anchor: anchorOf(world.scope).name }] as const
  const known = knownOf(world, {}, { outcomes })
  const rootOf = async (constraints: Parameters<typeof foreignRoot>[0]) => {
    const anchor = anchorWith(
      new X509Certificate((await foreignRoot(constraints)).pem).raw,
      undefined,
    )
    return { anchor, stores: [store] }
  }
  const root = await rootOf('local')
  const nobody = { fingerprints: new Set<string>(), unknown: false }
  const unread = { ...nobody, unknown: true }
  const owned = { ...nobody, fingerprints: new Set([root.anchor.fingerprint]) }
  const note = { code: 'root-of-another-user', severity: 'note' }
  const stale = { code: 'stale-root', severity: 'warning' }
  expect(judgeStale(root, known, owned)).toMatchObject(note)
  expect(judgeStale(root, known, owned).sentence).toMatch(/another user of this machine has it\.$/)
  expect(judgeStale(root, known, unread)).toMatchObject(note)
  expect(judgeStale(root, known, nobody)).toMatchObject(stale)
  expect(judgeStale(await rootOf('none'), known, unread)).toMatchObject({
    ...stale,
    sentence: expect.stringContaining('it is unconstrained'),
  })
  const later = new Date(Date.now() + 30 * 365 * 864e5)
  expect(judgeStale(root, { ...known, now: later }, owned)).toMatchObject({
    ...stale,
    sentence: expect.stringContaining('it ended on'),
  })
  // Only this person's programs read an NSS database.
  const own = { ...store, id: 'nss:/home/ada', kind: 'nss' } as TrustStore
  const inOwn = { ...root, stores: [own] }
  const trusted = [...outcomes, { ...outcomes[0], store: own }]
  expect(judgeStale(inOwn, { ...known, outcomes: trusted }, unread)).toMatchObject(stale)
  // A store that lacks the root of now holds that of before.
  expect(judgeStale(root, { ...known, outcomes: [] }, unread)).toMatchObject(stale)
})
