import { existsSync, mkdirSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createSystemStore } from '../../platform/linux/anchors.ts'
import { linuxFamilies, type LinuxFamily } from '../../platform/linux/families.ts'
import { installAnchors } from '../../src/trust/stores.ts'
import { createSimulatedMachine, makeDirectory } from './simulators/machine.ts'
import { lifecycle } from './lifecycle-steps.ts'
import { makeRoot, succeeds } from './world.ts'

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
