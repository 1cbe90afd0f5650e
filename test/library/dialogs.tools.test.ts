import { expect, onTestFinished, test } from 'vitest'
import { createMachine } from '../../platform/machine.ts'
import { createMacosKeychainStore } from '../../platform/macos/keychain.ts'
import type { TrustStore } from '../../platform/trust-store.ts'
import { createWindowsRootStore, nativeWindows } from '../../platform/windows/root.ts'
import { installAnchors } from '../../src/trust/stores.ts'
import { createMac, createWindows, type SimulatedMachine } from '../platform/simulators/machine.ts'
import { makeRoot } from '../platform/world.ts'

// The library makes its machine with the command that a person types instead of it.

const { anchor } = makeRoot('/O=Rootling development CA/CN=Rootling root')
const attended = await createMachine({ attendedCommand: 'rootling install' })

/** Returns a simulated machine on which no dialog may open. */
function withoutDialogs(machine: SimulatedMachine): SimulatedMachine {
  onTestFinished(() => machine.remove())
  return { ...machine, announce: (sentence) => attended.announce(sentence) }
}

test.each<
  [
    name: string,
    machine: () => SimulatedMachine,
    store: (machine: SimulatedMachine) => TrustStore,
    asks: RegExp,
  ]
>([
  ['the login keychain', createMac, (mac) => createMacosKeychainStore(mac), /macOS opens a dialog/],
  [
    'the user’s store of Windows',
    createWindows,
    (windows) => createWindowsRootStore(windows, nativeWindows(windows)),
    /Windows opens a dialog/,
  ],
])('%s is left to a person, and not touched', async (_name, machine, storeOf, asks) => {
  const found = withoutDialogs(machine())
  const outcomes = await installAnchors([storeOf(found)], [anchor])
  expect(outcomes).toMatchObject([
    { outcome: 'failed', reason: expect.stringMatching(asks), hint: 'rootling install' },
  ])
  expect(found.commands).toEqual([])
})

test('the store of a whole Windows needs no dialog, so an administrator’s process changes it', async () => {
  const windows = withoutDialogs(createWindows({ elevated: true }))
  const store = createWindowsRootStore(windows, nativeWindows(windows))
  expect(await installAnchors([store], [anchor])).toMatchObject([{ outcome: 'installed' }])
})
