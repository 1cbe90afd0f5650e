import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createWindowsRootStore } from '../../../platform/windows/root.ts'
import { findWindowsOutside, isWsl } from '../../../platform/windows/wsl.ts'
import { createSimulatedMachine, type SimulatedMachine } from '../simulators/machine.ts'
import { createFakeMachine } from '../fake-machine.ts'
import { lifecycle } from '../lifecycle-steps.ts'
import { makeRoot, parentOf } from '../world.ts'

const subject = '/O=Rootling development CA/CN=Rootling root'
const kernel = '5.15.167.4-microsoft-standard-WSL2'

/** A Linux in WSL; the programs of Windows stand where wslpath says. */
function makeWsl(state: Record<string, unknown> = {}, drives = true): SimulatedMachine {
  const machine = createSimulatedMachine({ programs: { wslpath: 'wslpath.mjs' } })
  onTestFinished(() => machine.remove())
  machine.setState('windows', state)
  if (!drives) return machine
  for (const name of ['certutil', 'whoami']) {
    const file = path.join(machine.directory, `mnt/c/Windows/System32/${name}.exe`)
    const simulator = path.join(import.meta.dirname, `../simulators/windows-${name}.mjs`)
    symlinkSync(simulator, parentOf(file))
  }
  return machine
}

test('knows WSL by what it exports, else by the kernel', () => {
  expect(isWsl(createFakeMachine({ env: { WSL_DISTRO_NAME: 'Debian' } }), '6.1.0')).toBe(true)
  expect(isWsl(createFakeMachine({ env: { WSL_INTEROP: '/run/WSL/8' } }), '6.1.0')).toBe(true)
  expect(isWsl(createFakeMachine(), kernel)).toBe(true)
  expect(isWsl(createFakeMachine(), '4.4.0-19041-Microsoft')).toBe(true)
  expect(isWsl(createFakeMachine(), '6.1.0-9-amd64')).toBe(false)
})

describe('the Windows around', () => {
  test('is not asked where its programs do not run, which /bin/sh would read as scripts', async () => {
    const machine = makeWsl({}, false)
    const directory = path.join(machine.directory, 'binfmt_misc')
    mkdirSync(directory)
    writeFileSync(path.join(directory, 'register'), 'enabled\nmagic 4d5a\n')
    for (const name of ['certutil', 'whoami'])
      writeFileSync(
        parentOf(path.join(machine.directory, `mnt/c/Windows/System32/${name}.exe`)),
        'MZ\0\0',
      )
    const find = () => findWindowsOutside(machine, kernel, directory)
    expect(await find()).toBeNull()
    // As the kernel shows what WSL registers (Documentation/admin-guide/binfmt-misc.rst).
    const register = (state: string, by = '/init'): void =>
      writeFileSync(
        path.join(directory, 'WSLInterop'),
        `${state}\ninterpreter ${by}\nflags: PF\noffset 0\nmagic 4d5a\n`,
      )
    const found = async (all: string, own: string, by?: string) => {
      writeFileSync(path.join(directory, 'status'), `${all}\n`)
      register(own, by)
      return find()
    }
    expect(await found('enabled', 'disabled')).toBeNull()
    expect(await found('disabled', 'enabled')).toBeNull()
    expect(await found('enabled', 'enabled', '/usr/bin/wine')).toBeNull()
    expect(await found('enabled', 'enabled')).toMatchObject({
      title: 'Windows root store (around WSL)',
    })
  })

  test.each([false, true])('goes through the life of a root (elevated: %s)', async (elevated) => {
    const machine = makeWsl({ elevated, language: 'de' })
    const side = await findWindowsOutside(machine, kernel)
    expect(side?.certutil).toBe(path.join(machine.directory, 'mnt/c/Windows/System32/certutil.exe'))
    if (side === null) return
    await lifecycle({
      store: async () => createWindowsRootStore(machine, side),
      trees: [],
      subject,
    })
    expect(machine.readState('windows')).toMatchObject({ user: [], machine: [] })
    expect(machine.commands[0]).toMatch(/ Root \\\\wsl\.localhost\\Debian\\.+\\rootling-\w+\.pem$/)
  })

  test('tells a cancelled dialog by the last byte of 1223', async () => {
    const machine = makeWsl({ answer: 'no' })
    const side = await findWindowsOutside(machine, kernel)
    const store = side && createWindowsRootStore(machine, side)
    await expect(store?.install(makeRoot(subject).anchor)).rejects.toMatchObject({
      code: 'cancelled',
    })
  })

  test('is none outside WSL, and none when its drives are not mounted', async () => {
    expect(await findWindowsOutside(makeWsl(), '6.1.0-9-amd64')).toBeNull()
    expect(await findWindowsOutside(makeWsl({}, false), kernel)).toBeNull()
    expect(await findWindowsOutside(createFakeMachine(), kernel)).toBeNull()
  })
})
