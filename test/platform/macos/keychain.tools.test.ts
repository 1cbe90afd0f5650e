import { describe, expect, onTestFinished, test } from 'vitest'
import { parsePasswd } from '../../../platform/person.ts'
import { createMacosKeychainStore } from '../../../platform/macos/keychain.ts'
import { findTrustStores } from '../../../platform/index.ts'
import { createMac, loginKeychain, systemKeychain } from '../simulators/machine.ts'
import type { SimulatedOptions } from '../simulators/machine.ts'
import { installAnchors, trustStatus, uninstallAnchors } from '../../../src/trust/stores.ts'
import { lifecycle } from '../lifecycle-steps.ts'
import { makeRoot } from '../world.ts'

const subject = '/O=Rootling development CA/CN=Rootling root'
const { anchor } = makeRoot(subject)
const base64 = anchor.der.toString('base64')

function makeMac(state: Record<string, unknown> = {}, options: Partial<SimulatedOptions> = {}) {
  const machine = createMac(state, options)
  onTestFinished(() => machine.remove())
  return machine
}

describe.each(['user', 'system'] as const)('the %s domain', (scope) => {
  test('goes through the life of a root and leaves nothing', async () => {
    const machine = makeMac()
    const store = async () => createMacosKeychainStore(machine, scope)
    await lifecycle({ store, trees: [], subject })
    expect(machine.readState('macos')).toMatchObject({
      keychains: { [loginKeychain]: [], [systemKeychain]: [] },
      user: {},
      admin: {},
    })
  })

  test('says that a dialog was cancelled, in German too, and takes the certificate back', async () => {
    const machine = makeMac({ answer: 'cancel', language: 'de' })
    const store = createMacosKeychainStore(machine, scope)
    await expect(store.install(anchor)).rejects.toMatchObject({
      code: 'cancelled',
      message: 'macOS asked for permission and did not get it.',
    })
    expect(await store.list()).toEqual([])
  })

  test('says that ssh has no desktop to ask on, and the way out', async () => {
    const machine = makeMac({ session: 'Background' })
    const store = createMacosKeychainStore(machine, scope)
    const right = `com.apple.trust-settings.${scope === 'user' ? 'user' : 'admin'}`
    await expect(store.install(anchor)).rejects.toMatchObject({
      code: 'store-failed',
      message:
        'macOS lets trust be changed only from its desktop, and this session (ssh, CI) has none.',
      hint: expect.stringContaining(`sudo security authorizationdb write ${right} allow`),
    })
    machine.setState('macos', { allowed: [right] })
    await store.install(anchor)
    expect(await store.has(anchor)).toBe(true)
  })

  test('stops a dialog that nobody answers', async () => {
    const machine = makeMac({ answer: 'hang' }, { dialogLimit: 1500 })
    const store = createMacosKeychainStore(machine, scope)
    await expect(store.install(anchor)).rejects.toMatchObject({ code: 'tool-timeout' })
    expect(await store.list()).toEqual([])
  })

  test('says before the dialog who asks and why', async () => {
    const machine = makeMac()
    await createMacosKeychainStore(machine, scope).install(anchor)
    const whose = scope === 'user' ? 'your login keychain' : 'the System keychain'
    expect(machine.announced).toEqual([
      `macOS opens a dialog for your password or Touch ID, to add the root to ${whose}.`,
    ])
  })
})

test('trusts for servers only, and runs exactly these commands', async () => {
  const machine = makeMac()
  const store = createMacosKeychainStore(machine)
  await store.install(anchor)
  const { user } = machine.readState('macos') as { user: Record<string, string[]> }
  expect(Object.values(user)).toEqual([['ssl', 'basic']])
  await store.uninstall(anchor)
  const shown = machine.commands.map((command) => command.replace(/\S+\.pem/, 'FILE'))
  expect(shown).toEqual([
    `person security add-trusted-cert -r trustRoot -p ssl -p basic -k ${loginKeychain} FILE`,
    'person security remove-trusted-cert FILE',
    `person security delete-certificate -Z ${anchor.fingerprint.toUpperCase()} ${loginKeychain}`,
  ])
})

test('asks root for the admin domain', async () => {
  const machine = makeMac()
  await createMacosKeychainStore(machine, 'system').install(anchor)
  expect(machine.commands[0]).toMatch(/^root security add-trusted-cert -d -r trustRoot /)
})

test('does not call a certificate trusted that is only in the keychain', async () => {
  const machine = makeMac({ keychains: { [loginKeychain]: [base64], [systemKeychain]: [] } })
  const store = createMacosKeychainStore(machine)
  expect(await store.list()).toEqual([anchor])
  expect(await store.has(anchor)).toBe(false)
  await store.uninstall(anchor)
  expect(await store.list()).toEqual([])
})

test('names the keychain that is locked, and how to unlock it', async () => {
  const machine = makeMac({ locked: [loginKeychain] })
  await expect(createMacosKeychainStore(machine).install(anchor)).rejects.toMatchObject({
    code: 'store-failed',
    message: expect.stringContaining(`${loginKeychain} did not take the root`),
    hint: `security unlock-keychain ${loginKeychain}`,
  })
})

test('takes the root out of both domains, whichever the scope is', async () => {
  const machine = makeMac()
  await createMacosKeychainStore(machine, 'system').install(anchor)
  const store = createMacosKeychainStore(machine, 'user')
  const again = await installAnchors([store], [anchor])
  expect(again.map(({ outcome }) => outcome)).toEqual(['already-installed'])
  const removed = await uninstallAnchors([store], [anchor])
  expect(removed.map(({ outcome }) => outcome)).toEqual(['removed'])
})

test('keeps the certificate when the person refuses to take its trust away', async () => {
  const machine = makeMac()
  const store = createMacosKeychainStore(machine)
  await store.install(anchor)
  machine.setState('macos', { answer: 'cancel' })
  await expect(store.uninstall(anchor)).rejects.toMatchObject({ code: 'cancelled' })
  expect(await store.has(anchor)).toBe(true)
})

test('leaves other roots of the same subject alone', async () => {
  const machine = makeMac()
  const store = createMacosKeychainStore(machine)
  const other = makeRoot(subject).anchor
  await store.install(anchor)
  await store.install(other)
  await store.uninstall(anchor)
  expect(await store.list()).toEqual([other])
  expect(await store.has(other)).toBe(true)
})

test('says that an account which never logged in has no keychain', async () => {
  const machine = makeMac({ keychains: { [systemKeychain]: [] } })
  expect(await createMacosKeychainStore(machine).availability()).toMatchObject({
    code: 'unsupported',
    reason: `There is no keychain ${loginKeychain}.`,
  })
})

test('plans with the lasting file in a dry run, and changes nothing', async () => {
  const knownFiles = new Map([[anchor.pem, '/Users/ada/root.pem']])
  const machine = makeMac({}, { dryRun: true, knownFiles })
  const stores = await findTrustStores(machine, 'darwin', { storeScope: 'system' })
  const outcomes = await installAnchors(
    stores.filter(({ kind }) => kind === 'system'),
    [anchor],
    { dryRun: true },
  )
  expect(outcomes.map(({ outcome }) => outcome)).toEqual(['would-install'])
  expect(machine.planned).toEqual([
    `root security add-trusted-cert -d -r trustRoot -p ssl -p basic -k ${systemKeychain} /Users/ada/root.pem`,
  ])
})

test('knows the person behind sudo from what id -P prints', () => {
  const line = 'ada:********:501:20::0:0:Ada Lovelace:/Users/ada:/bin/zsh\n'
  expect(parsePasswd(line, '501')).toEqual({ name: 'ada', uid: 501, gid: 20, home: '/Users/ada' })
})

test('without its own keychain, a root of the other one is seen, and is not passed over', async () => {
  const machine = makeMac({ keychains: { [systemKeychain]: [] } })
  await createMacosKeychainStore(machine, 'system').install(anchor)
  const store = createMacosKeychainStore(machine)
  expect(await trustStatus([store], [anchor])).toMatchObject([{ outcome: 'trusted' }])
  const [outcome] = await uninstallAnchors([store], [anchor])
  expect(outcome).toMatchObject({
    outcome: 'failed',
    reason: `It holds the root, and cannot be changed. There is no keychain ${loginKeychain}.`,
    hint: expect.stringContaining('--store-scope system'),
  })
})
