import { expect, test } from 'vitest'
import { readTrustedRoots } from '../../src/storage/files/trusted-roots.ts'
import { trustForeignRoot } from '../../src/trust/foreign-root.ts'
import { installAuthority } from '../../src/trust/install.ts'
import { anchorOf } from '../../src/trust/machine-stores.ts'
import { trustOfOthers, untrustRoot } from '../../src/trust/trusted-roots.ts'
import { uninstallAuthority } from '../../src/trust/uninstall.ts'
import { fingerprintText } from '../../src/x509/parsed-certificate.ts'
import { makeAnchor } from '../platform/world.ts'
import { temporaryState } from '../helpers/temporary.ts'
import { broken, createStore, createWorld, shown } from './memory-stores.ts'

/** A machine that trusts its own authority, and a teammate's root by the name `ada`. */
async function open() {
  const inner = createStore('a')
  let fails = false
  const store = {
    ...inner,
    uninstall: (anchor: typeof ada) => (fails ? broken() : inner.uninstall(anchor)),
  }
  const ada = makeAnchor()
  const world = createWorld(await temporaryState(), [store])
  const { scopes } = await installAuthority(world, {}, null)
  const root = { contents: Buffer.from(ada.pem), source: 'ada.pem', label: 'ada' }
  const given = { ...root, fingerprint: ada.fingerprint, unconstrained: true }
  const trust = () => trustForeignRoot(world, {}, { ...given, from: '/tmp/ada.pem' })
  await trust()
  return {
    world,
    store,
    ada,
    trust,
    own: scopes.map(anchorOf),
    fail: (to: boolean) => (fails = to),
  }
}

test('a trusted root is recorded once, with its label and source, and is listed', async () => {
  const { world, ada, trust } = await open()
  await trust()
  const row = { label: 'ada', source: '/tmp/ada.pem', fingerprint: ada.fingerprint }
  expect(await trustOfOthers(world)).toEqual([
    { ...row, trusted: expect.stringMatching(/^\d{4}-.*Z$/), trustedBy: ['a'] },
  ])
})

test.each(['label', 'name', 'fingerprint', 'short', 'colons', 'groups', 'spaces'])(
  'untrust takes it out by its %s, and leaves the others',
  async (by) => {
    const { world, store, ada, own } = await open()
    const wanted = {
      label: 'ada',
      name: ada.name,
      fingerprint: ada.fingerprint,
      short: ada.fingerprint.slice(0, 8),
      groups: fingerprintText(ada.fingerprint),
      spaces: ada.fingerprint.toUpperCase().replace(/.{4}(?!$)/g, '$& '),
      colons: ada.fingerprint.toUpperCase().replace(/..(?!$)/g, '$&:'),
    }[by] as string
    const { outcomes, label, fingerprint } = await untrustRoot(world, {}, wanted)
    expect([shown(outcomes), label, fingerprint]).toEqual([['a: removed'], 'ada', ada.fingerprint])
    expect(await store.list()).toEqual(own)
    expect(await readTrustedRoots(world.state)).toEqual([])
  },
)

test('untrust refuses what it does not know, own roots and what means several', async () => {
  const { world, store, own } = await open()
  const before = await store.list()
  const refusal = (wanted: string) =>
    untrustRoot(world, {}, wanted).then(String, ({ code, message }) => `${code}: ${message}`)
  expect(await refusal('bob')).toBe('usage: No root of another authority is known as bob.')
  const [mine] = own as [(typeof own)[0]]
  expect(await refusal(mine.fingerprint)).toBe(
    `usage: ${mine.fingerprint} is a root of your own authority.`,
  )
  const bob = makeAnchor()
  const root = { contents: Buffer.from(bob.pem), source: 'b', label: 'ada', unconstrained: true }
  await trustForeignRoot(world, {}, { ...root, fingerprint: bob.fingerprint })
  expect(await refusal('ada')).toMatch(/^usage: ada means several roots: [\w:]{71}, [\w:]{71}\.$/)
  expect(await store.list()).toEqual([...before, bob])
})

test('a root stays recorded while a store may hold it', async () => {
  const { world, fail } = await open()
  fail(true)
  expect(shown((await untrustRoot(world, {}, 'ada')).outcomes)).toEqual(['a: failed'])
  expect(await readTrustedRoots(world.state)).toHaveLength(1)
  fail(false)
  await untrustRoot(world, { kinds: ['nss'] }, 'ada')
  expect(await readTrustedRoots(world.state)).toHaveLength(1)
  await untrustRoot(world, {}, 'ada')
  expect(await readTrustedRoots(world.state)).toEqual([])
})

test('a root that an older version did not record is taken out by its name', async () => {
  const { world, store, own } = await open()
  const old = makeAnchor()
  await store.install(old)
  expect(await untrustRoot(world, {}, old.name)).toMatchObject({ label: null })
  await uninstallAuthority(world, {}, { others: true })
  expect(await store.list()).toEqual([])
  expect(own).toHaveLength(1)
  expect(await readTrustedRoots(world.state)).toEqual([])
})
