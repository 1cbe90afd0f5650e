import { readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { findWindowsHosts, type WindowsHosts } from '../../../platform/windows/hosts.ts'
import { applyHosts, planRemoval, removeHosts } from '../../../src/hosts/change.ts'
import { loopback } from '../../../src/hosts/host-name.ts'
import { planHosts } from '../../../src/hosts/plan.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { createSimulatedMachine, type SimulatedMachine } from '../simulators/machine.ts'
import { parentOf } from '../world.ts'

const kernel = '5.15.167.4-microsoft-standard-WSL2'
const base = '# Copyright (c) Microsoft\r\n127.0.0.1 localhost\r\n# f\u00FCr'

interface Wsl {
  readonly machine: SimulatedMachine
  readonly windows: WindowsHosts
  readonly read: () => string
}

/** A Linux in WSL whose Windows has a hosts file. */
async function openWsl(state: Record<string, unknown> = {}): Promise<Wsl> {
  const machine = createSimulatedMachine({ programs: { wslpath: 'wslpath.mjs' } })
  onTestFinished(() => machine.remove())
  machine.setState('windows', state)
  const system32 = path.join(machine.directory, 'mnt/c/Windows/System32')
  const powershell = path.join(system32, 'WindowsPowerShell/v1.0/powershell.exe')
  const simulator = path.join(import.meta.dirname, '../simulators/windows-powershell.mjs')
  symlinkSync(simulator, parentOf(powershell))
  const file = parentOf(path.join(system32, 'drivers/etc/hosts'))
  writeFileSync(file, base, 'latin1')
  const windows = await findWindowsHosts(machine, kernel)
  if (typeof windows === 'string') throw new Error(windows)
  expect(windows.file).toBe(file)
  return { machine, windows, read: () => readFileSync(file, 'latin1') }
}

/** A request for both files of a WSL, of which the one of Linux is a temporary file. */
async function requestIn({ machine, windows }: Wsl) {
  const file = path.join(await temporaryDirectory(), 'hosts')
  writeFileSync(file, '127.0.0.1 localhost\n')
  const write: WindowsHosts['write'] = (_, contents, old) => windows.write(machine, contents, old)
  const findWindows = async () => ({ ...windows, write })
  return {
    access: { interactive: false, command: 'rootling hosts add shop.test' },
    readLinux: () => readFileSync(file, 'utf8'),
    request: {
      env: { ...process.env, HOME: '/' },
      wanted: new Map([['shop.test', loopback]]),
      project: null,
      file,
      findWindows,
    },
  }
}

describe('the hosts file of the Windows around', () => {
  test('is written by a program of Windows, which asks for the rights', async () => {
    const { machine, windows, read } = await openWsl()
    const contents = Buffer.from(`${base}\r\n127.0.0.1 it's.test`, 'latin1')
    await windows.write(machine, contents, Buffer.from(base, 'latin1'))
    expect(read()).toBe(contents.toString('latin1'))
    expect(machine.announced.join()).toMatch(/^Windows opens a dialog that asks whether/)
    expect(machine.commands).toHaveLength(1)
    expect(machine.commands[0]).not.toContain('"')
  })

  test('stays as it is when the dialog is declined, or another program changed it', async () => {
    const declined = await openWsl({ elevates: false })
    const old = Buffer.from(base, 'latin1')
    await expect(
      declined.windows.write(declined.machine, Buffer.from('x'), old),
    ).rejects.toMatchObject({ code: 'cancelled' })
    expect(declined.read()).toBe(base)
    const { machine, windows, read } = await openWsl()
    await expect(windows.write(machine, Buffer.from('x'), Buffer.from('y'))).rejects.toThrow(
      'Another program changed the file at the same moment.',
    )
    expect(read()).toBe(base)
  })

  test('is none outside WSL, and is not reached where its drives are not mounted', async () => {
    const { machine } = await openWsl()
    expect(await findWindowsHosts(machine, '6.1.0-9-amd64')).toBe('absent')
    const bare = createSimulatedMachine({ programs: { wslpath: 'wslpath.mjs' } })
    onTestFinished(() => bare.remove())
    expect(await findWindowsHosts(bare, kernel)).toBe('unreached')
  })
})

const isRoot = process.getuid?.() === 0

describe.skipIf(!isRoot)(
  `both hosts files of a WSL${isRoot ? '' : ' [skipped: needs root]'}`,
  () => {
    test('get the lines, each with its own line ends, and lose them again', async () => {
      const wsl = await openWsl()
      const { request, access, readLinux } = await requestIn(wsl)
      expect(await planHosts(request)).toMatchObject({ privileged: true, unreached: false })
      const { added } = await applyHosts(request, access)
      expect(added).toHaveLength(2)
      expect(readLinux()).toMatch(/\n127\.0\.0\.1 shop\.test # \w+ \w+\n/)
      expect(wsl.read()).toMatch(/\r\n127\.0\.0\.1 shop\.test # \w+ \w+\r\n/)
      expect(await planHosts(request)).toMatchObject({ add: [], privileged: false })
      expect(await applyHosts(request, access)).toMatchObject({ added: [], removed: [] })
      expect(wsl.machine.commands).toHaveLength(1)

      const removal = { ...request, names: null }
      expect((await planRemoval(removal)).remove).toHaveLength(2)
      expect((await removeHosts(removal, access)).remove).toHaveLength(2)
      expect(readLinux()).toBe('127.0.0.1 localhost\n')
      expect(wsl.read()).toBe(base)
    })

    test('of which one contradicts stay as they are', async () => {
      const wsl = await openWsl()
      const { request, access, readLinux } = await requestIn(wsl)
      writeFileSync(wsl.windows.file, '10.0.0.5 shop.test\r\n')
      await expect(applyHosts(request, access)).rejects.toMatchObject({
        code: 'hosts-conflict',
        message: expect.stringContaining(`${wsl.windows.file} gives shop.test another address`),
      })
      expect(readLinux()).toBe('127.0.0.1 localhost\n')
    })

    test('where the dialog is declined, the other is changed, and the next run finishes', async () => {
      const wsl = await openWsl({ elevates: false })
      const { request, access, readLinux } = await requestIn(wsl)
      await expect(applyHosts(request, access)).rejects.toMatchObject({
        code: 'hosts-failed',
        message: expect.stringContaining('the answer was not Yes'),
        hint: expect.stringContaining('rootling hosts add shop.test'),
      })
      expect(readLinux()).toContain('shop.test')
      expect((await planHosts(request)).add).toHaveLength(2)
      wsl.machine.setState('windows', { elevates: true })
      await applyHosts(request, access)
      expect(wsl.read()).toContain('shop.test')
    })
  },
)
