import { createHash } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { displayCommand } from '../../../platform/display-command.ts'
import { createWindowsRootStore, nativeWindows, ownHashes } from '../../../platform/windows/root.ts'
import type { StoreScope } from '../../../platform/trust-store.ts'
import { trustStatus, uninstallAnchors } from '../../../src/trust/stores.ts'
import { createWindows, type SimulatedOptions } from '../simulators/machine.ts'
import { lifecycle } from '../lifecycle-steps.ts'
import { makeRoot } from '../world.ts'

const subject = '/O=Rootling development CA/CN=Rootling root'
const { anchor } = makeRoot(subject)
const base64 = anchor.der.toString('base64')
const thumbprint = createHash('sha1').update(anchor.der).digest('hex')
const foreign = makeRoot('/CN=a root of somebody').anchor.der.toString('base64')

function makeStore(
  state: Record<string, unknown> = {},
  scope?: StoreScope,
  options: Partial<SimulatedOptions> = {},
) {
  const machine = createWindows(state, options)
  onTestFinished(() => machine.remove())
  return { machine, store: createWindowsRootStore(machine, nativeWindows(machine), scope) }
}

test.each([
  ['of the user', {}, undefined],
  ['of the machine, when elevated', { elevated: true }, undefined],
  ['of the user, when elevated and asked for it', { elevated: true }, 'user'],
  ['in German, with spaces in hashes', { language: 'de', spaces: true }, undefined],
  ['in Chinese', { language: 'zh', elevated: true }, undefined],
] as const)('goes through the life of a root in the store %s', async (_, state, scope) => {
  const { machine, store } = makeStore({ ...state, machine: [foreign] }, scope)
  await lifecycle({ store: async () => store, trees: [], subject })
  expect(machine.readState('windows')).toMatchObject({ user: [], machine: [foreign] })
})

describe('where it writes', () => {
  test('is the user with a dialog, which is told beforehand', async () => {
    const { machine, store } = makeStore()
    await store.install(anchor)
    await store.uninstall(anchor)
    expect(machine.readState('windows')).toMatchObject({ user: [], machine: [] })
    expect(machine.announced).toEqual([
      `Windows opens a dialog that asks whether to trust the root with the thumbprint ${thumbprint}.`,
      `Windows opens a dialog that asks whether to delete the root with the thumbprint ${thumbprint}.`,
    ])
    expect(machine.commands.map((each) => each.replace(/\S+\.pem/, 'FILE'))).toEqual([
      'person certutil.exe -user -addstore Root FILE',
      `person certutil.exe -user -delstore Root ${thumbprint}`,
    ])
  })

  test('is the machine without a dialog when elevated, as in CI', async () => {
    const { machine, store } = makeStore({ elevated: true, answer: 'hang' })
    await store.install(anchor)
    expect(machine.readState('windows')).toMatchObject({ machine: [base64] })
    expect(machine.announced).toEqual([])
  })

  test('is not the machine for a user who is no administrator', async () => {
    const { store } = makeStore({}, 'system')
    expect(await store.availability()).toEqual({
      available: false,
      code: 'unsupported',
      reason: 'The root store of the whole machine can be changed by an administrator only.',
      hint: 'Run it again in a terminal that was opened as administrator',
    })
  })
})

describe('a dialog', () => {
  test.each([true, false])('that was answered No is no failure (wide codes: %s)', async (wide) => {
    const options = { wideExitCodes: wide }
    const { store } = makeStore({ answer: 'no', language: 'de' }, undefined, options)
    await expect(store.install(anchor)).rejects.toMatchObject({
      code: 'cancelled',
      message: 'Windows asked whether to trust the root, and the answer was not Yes.',
      hint: expect.stringContaining('run it as administrator'),
    })
    expect(await store.has(anchor)).toBe(false)
  })

  test('that nobody answers is stopped', async () => {
    const { store } = makeStore({ answer: 'hang' }, undefined, { dialogLimit: 1500 })
    await expect(store.install(anchor)).rejects.toMatchObject({
      code: 'tool-timeout',
      message: 'Windows asked whether to trust the root, and nobody answered.',
    })
  })
})

test('is shown in a dry run as the shells of Windows read it', () => {
  const program = String.raw`C:\Windows\System32\certutil.exe`
  const file = String.raw`C:\Users\Ada L\root.pem`
  expect(displayCommand([program, '-user', '-addstore', 'Root', file])).toBe(
    `${program} -user -addstore Root "${file}"`,
  )
})

test('looks into both stores, and says who may take the root out of the machine', async () => {
  const { machine, store } = makeStore({ machine: [base64] })
  expect(await store.has(anchor)).toBe(true)
  await expect(store.uninstall(anchor)).rejects.toMatchObject({
    code: 'store-failed',
    message: 'The root store of the whole machine can be changed by an administrator only.',
  })
  machine.setState('windows', { elevated: true, user: [base64] })
  const elevated = createWindowsRootStore(machine, nativeWindows(machine))
  await elevated.uninstall(anchor)
  expect(machine.readState('windows')).toMatchObject({ user: [], machine: [] })
})

test('does not take another root of the same subject for ours', async () => {
  const other = makeRoot(subject).anchor
  const { store } = makeStore({ user: [other.der.toString('base64')] })
  expect(await store.has(anchor)).toBe(false)
  await store.uninstall(anchor)
  expect(await store.list()).toEqual([other])
})

test('finds hashes by their shape alone, and only in our blocks', () => {
  const hash = 'ab '.repeat(19) + 'ab'
  const block = (owner: string) =>
    `======= Сертификат 0 =======\r\nX: 1f\r\nSubject: O=${owner}\r\n???(sha1): ${hash}\r\n`
  expect(ownHashes(block('Rootling development CA'))).toEqual(['ab'.repeat(20)])
  expect(ownHashes(block('Somebody'))).toEqual([])
  expect(ownHashes('')).toEqual([])
})

test('a store of the machine is asked without being elevated, and says that it keeps the root', async () => {
  const { store } = makeStore({ machine: [base64] }, 'system')
  expect(await trustStatus([store], [anchor])).toMatchObject([{ outcome: 'trusted' }])
  expect(await uninstallAnchors([store], [anchor])).toMatchObject([
    {
      outcome: 'failed',
      reason:
        'It holds the root, and cannot be changed. The root store of the whole machine can be changed by an administrator only.',
      hint: 'Run it again in a terminal that was opened as administrator',
    },
  ])
  const empty = makeStore({}, 'system').store
  expect(await uninstallAnchors([empty], [anchor])).toMatchObject([{ outcome: 'skipped' }])
})
