import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { RootlingError } from '../../src/errors.ts'
import { createSystemStore } from '../../platform/linux/anchors.ts'
import { linuxFamilies, type LinuxFamily } from '../../platform/linux/families.ts'
import { installAnchors, trustStatus, uninstallAnchors } from '../../src/trust/stores.ts'
import { createSimulatedMachine, makeDirectory } from './simulators/machine.ts'
import { lifecycle } from './lifecycle-steps.ts'
import { makeRoot, succeeds } from './world.ts'
import { shown } from '../trust/memory-stores.ts'

interface Row {
  family: string
  tool: string
  simulator: string
  state?: Record<string, unknown>
}

const fedora: Row = {
  family: 'Fedora, RHEL',
  tool: 'update-ca-trust',
  simulator: 'update-ca-trust.mjs',
}
const openSuse: Row = {
  family: 'openSUSE',
  tool: 'update-ca-certificates',
  simulator: 'update-ca-certificates-opensuse.mjs',
}
const debian: Row = {
  family: 'Debian, Ubuntu, Alpine, Gentoo, Slackware',
  tool: 'update-ca-certificates',
  simulator: 'update-ca-certificates-alpine.mjs',
}
const rows: readonly Row[] = [
  fedora,
  { ...fedora, family: 'Arch', state: { distribution: 'arch' } },
  { family: 'Arch', tool: 'trust', simulator: 'trust.mjs' },
  openSuse,
  { ...openSuse, family: 'openSUSE (read-only /etc)' },
  debian,
]

/** A machine of the family, with the row's paths below its own directory. */
function makeFamily(
  { family: name, tool, simulator, state }: Row,
  env: Record<string, string> = {},
) {
  const machine = createSimulatedMachine({ programs: { [tool]: simulator }, env })
  onTestFinished(() => machine.remove())
  machine.setState('linux', state ?? {})
  const row = linuxFamilies.find((each) => each.name === name)
  if (row === undefined) throw new Error(`no family ${name}`)
  const below = (file: string | null) => (file === null ? null : path.join(machine.directory, file))
  const { hooks: _, ...rest } = row
  const family: LinuxFamily = {
    ...rest,
    directory: makeDirectory(machine, row.directory),
    bundle: below(row.bundle),
    hashLinks: below(row.hashLinks),
  }
  if (family.hashLinks !== null) mkdirSync(family.hashLinks, { recursive: true })
  return { machine, family, store: createSystemStore(machine, family) }
}

describe.each(rows)('$family with $simulator', (row) => {
  test('goes through the life of a root', async () => {
    const { machine, family, store } = makeFamily(row)
    const bundle = family.bundle ?? ''
    const check = (leaf: string) =>
      existsSync(bundle) && succeeds('openssl', ['verify', '-no-CApath', '-CAfile', bundle, leaf])
    const trees = [family.directory, ...(family.hashLinks === null ? [] : [family.hashLinks])]
    // The bundle stays, without the root, where it was not there before the first refresh.
    const empty = makeRoot('/CN=first').anchor
    await store.install(empty)
    await store.uninstall(empty)
    await lifecycle({ store: async () => store, trees, proof: check })
    expect(machine.commands.every((command) => command.startsWith(`root ${row.tool}`))).toBe(true)
  })
})

test('the Debian row holds the copies of a hardened root in its place, by one refresh', async () => {
  const { machine, family, store } = makeFamily(debian)
  const copies = [makeRoot('/CN=one').anchor, makeRoot('/CN=two').anchor] as const
  const hardened = { ...makeRoot('/CN=hardened').anchor, copies }
  await store.install(hardened)
  expect(machine.commands).toHaveLength(1)
  const verdicts = async () => Promise.all([hardened, ...copies].map((each) => store.has(each)))
  expect(await verdicts()).toEqual([true, true, true])
  expect((await store.list()).map(({ name }) => name).toSorted()).toEqual(
    copies.map(({ name }) => name).toSorted(),
  )
  await store.uninstall(copies[0])
  expect(await verdicts()).toEqual([false, false, true])
  await store.install(hardened)
  expect(await verdicts()).toEqual([true, true, true])
  const before = machine.commands.length
  await store.uninstall(hardened)
  expect(machine.commands).toHaveLength(before + 1)
  expect(await verdicts()).toEqual([false, false, false])
  expect(await store.list()).toEqual([])
  expect(existsSync(path.join(family.directory, `${hardened.name}.crt`))).toBe(false)
})

// Alpine's looks at no argument.
test.each([fedora, openSuse])('says that $tool refused what it was told', async (row) => {
  const { machine, family } = makeFamily(row)
  const find = async (name: string) => (name === 'flock' ? null : row.tool)
  const wrong: LinuxFamily = { ...family, refresh: ['certctl', '--bogus'] }
  const store = createSystemStore({ ...machine, find }, wrong)
  await expect(store.install(makeRoot().anchor)).rejects.toMatchObject({
    code: 'tool-failed',
    message: expect.stringContaining('certctl ended with exit code 1'),
  })
})

describe('a refresh that says nothing and does nothing is no success', () => {
  test.each([
    ['openSUSE in a transactional update', openSuse, { TRANSACTIONAL_UPDATE: 'yes' }],
    ['CentOS 6 before `update-ca-trust enable`', { ...fedora, state: { disabled: true } }, {}],
  ] as const)('%s', async (_, row, env) => {
    const { store } = makeFamily(row, env)
    const [outcome] = await installAnchors([store], [makeRoot().anchor])
    expect(outcome).toMatchObject({
      outcome: 'failed',
      reason: `${store.title} took the root and does not trust it.`,
    })
  })
})

test.each(rows)('several roots cost one refresh: $family with $simulator', async (row) => {
  const { machine, store } = makeFamily(row)
  const roots = [makeRoot('/CN=one').anchor, makeRoot('/CN=two').anchor]
  const outcomes = await installAnchors([store], roots)
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(['installed', 'installed'])
  expect(machine.commands).toHaveLength(1)
  const removed = await uninstallAnchors([store], roots)
  expect(removed.map(({ outcome }) => outcome)).toEqual(['removed', 'removed'])
  expect(machine.commands).toHaveLength(2)
})

describe('a root that only some programs trust', () => {
  const partly = async () => {
    const made = makeFamily(debian)
    const { anchor } = makeRoot()
    await made.store.install(anchor)
    return { ...made, anchor, bundle: made.family.bundle ?? '', links: made.family.hashLinks ?? '' }
  }

  test.each(['the bundle', 'its hash'])(
    'by %s alone is trusted, made whole, removed',
    async (by) => {
      const { anchor, store, bundle, links } = await partly()
      const hashes = readdirSync(links).filter((name) => /^[0-9a-f]{8}\.\d+$/.test(name))
      expect(hashes).toHaveLength(1)
      if (by === 'the bundle') for (const name of hashes) rmSync(path.join(links, name))
      else writeFileSync(bundle, '')
      expect(await store.has(anchor)).toBe(true)
      const [status] = await trustStatus([store], [anchor])
      expect(status).toMatchObject({ outcome: 'trusted', reason: expect.stringContaining('only') })
      expect((await installAnchors([store], [anchor]))[0]?.outcome).toBe('installed')
      expect(await trustStatus([store], [anchor])).toMatchObject([{ outcome: 'trusted' }])
      expect((await uninstallAnchors([store], [anchor]))[0]?.outcome).toBe('removed')
      expect(readFileSync(bundle, 'utf8')).toBe('')
    },
  )
})

describe('beside a refresh of somebody else', () => {
  /** A store whose first refresh comes before that of another program, which does not know the root. */
  function racing(meanwhile: (bundle: string) => void) {
    const { machine, family } = makeFamily(openSuse)
    let refreshes = 0
    const change: typeof machine.change = async (...args) => {
      const result = await machine.change(...args)
      if (++refreshes === 1) meanwhile(family.bundle ?? '')
      return result
    }
    const store = createSystemStore({ ...machine, change }, family)
    return { store, refreshes: () => refreshes }
  }

  test('looks again after a pause', async () => {
    const { store, refreshes } = racing((bundle) => {
      const later = readFileSync(bundle)
      writeFileSync(bundle, '')
      setTimeout(() => writeFileSync(bundle, later), 500)
    })
    expect((await installAnchors([store], [makeRoot().anchor]))[0]?.outcome).toBe('installed')
    expect(refreshes()).toBe(1)
  })

  test('runs its own once more, also where the first one failed', async () => {
    const { store, refreshes } = racing((bundle) => {
      writeFileSync(bundle, '')
      throw new RootlingError('tool-failed', 'mv: cannot stat ca-certificates.crt.new')
    })
    expect((await installAnchors([store], [makeRoot().anchor]))[0]?.outcome).toBe('installed')
    expect(refreshes()).toBe(2)
  })
})

test('a hook that cannot be started, or that fails, stops no removal', async () => {
  const { machine, family: plain } = makeFamily(debian)
  const hooks = makeDirectory(machine, '/etc/ca-certificates/update.d')
  writeFileSync(path.join(hooks, 'aa-gone'), '#!/opt/gone/bin/python\n', { mode: 0o755 })
  writeFileSync(path.join(hooks, 'bb-fails'), '#!/bin/false\n', { mode: 0o755 })
  const told = path.join(machine.directory, 'told')
  writeFileSync(path.join(hooks, 'cc-works'), `#!/bin/sh\ncat > ${told}\n`, { mode: 0o755 })
  const find: typeof machine.find = async (name) =>
    name.startsWith(hooks) ? name : machine.find(name)
  const store = createSystemStore({ ...machine, find }, { ...plain, hooks })
  const roots = [makeRoot('/CN=one').anchor, makeRoot('/CN=two').anchor]
  await installAnchors([store], roots)
  expect(shown(await uninstallAnchors([store], roots)).join()).not.toContain('failed')
  const lines = roots.map(({ name }) => `-${path.join(plain.hashLinks ?? '', name)}.pem\n`)
  expect(readFileSync(told, 'utf8').startsWith(lines.join(''))).toBe(true)
})
