import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createSystemStore } from '../../../platform/linux/anchors.ts'
import { linuxFamilies } from '../../../platform/linux/families.ts'
import { createFakeMachine } from '../fake-machine.ts'
import { anchor } from '../anchors.ts'

const expected: Record<string, { file: string; install: string; uninstall?: string }> = {
  'Fedora, RHEL': { file: '.pem', install: 'update-ca-trust extract' },
  'Debian, Ubuntu, Alpine, Gentoo, Slackware': {
    file: '.crt',
    install: 'update-ca-certificates',
    uninstall: 'update-ca-certificates --fresh',
  },
  Arch: { file: '.crt', install: 'update-ca-trust' },
  openSUSE: { file: '.pem', install: 'update-ca-certificates' },
  'openSUSE (read-only /etc)': { file: '.pem', install: 'update-ca-certificates' },
  FreeBSD: { file: '.crt', install: 'certctl rehash' },
}

describe.each(linuxFamilies)('$name', (family) => {
  const row = expected[family.name]

  test('writes one file and refreshes, and takes both back', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'anchors-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const [tool] = family.refresh
    const machine = createFakeMachine({ programs: { [tool]: `/usr/bin/${tool}` } })
    const moved = { ...family, directory, bundle: '/nowhere', hashLinks: null }
    const store = createSystemStore(machine, moved)

    await store.install(anchor)
    const file = path.join(directory, anchor.name + row?.file)
    expect(existsSync(file)).toBe(true)
    expect(await store.list()).toEqual([anchor])
    await store.uninstall(anchor)
    expect(existsSync(file)).toBe(false)
    // The simulated refresh writes no bundle, so an installation runs it once more.
    expect(machine.commands).toEqual([
      `root /usr/bin/${row?.install}`,
      `root /usr/bin/${row?.uninstall ?? row?.install}`,
      `root /usr/bin/${row?.uninstall ?? row?.install}`,
    ])
  })

  test('does not call a root trusted that the refresh left out of the bundle', async () => {
    const machine = createFakeMachine()
    const store = createSystemStore(machine, { ...family, bundle: '/nowhere' })
    expect(await store.has(anchor)).toBe(false)
  })

  test('says which tool is missing', async () => {
    const store = createSystemStore(createFakeMachine(), family)
    const answer = await store.availability()
    expect(answer.available).toBe(false)
    expect(answer).toHaveProperty('reason', expect.stringContaining(family.refresh[0]))
  })
})
