import { expect, test } from 'vitest'
import { installTool, missingTool, toolInstallCommand } from '../../platform/packages.ts'
import { createFakeMachine } from './fake-machine.ts'

test.each([
  ['apt-get', 'apt-get install -y --no-install-recommends libnss3-tools'],
  ['dnf', 'dnf install -y nss-tools'],
  ['zypper', 'zypper --non-interactive install mozilla-nss-tools'],
  ['pacman', 'pacman -S --noconfirm --needed nss'],
  ['apk', 'apk add nss-tools'],
])('names the package of certutil for %s', async (manager, command) => {
  const machine = createFakeMachine({ programs: { [manager]: `/usr/bin/${manager}` } })
  expect((await toolInstallCommand(machine, 'certutil'))?.join(' ')).toBe(`/usr/bin/${command}`)
  const answer = await missingTool(machine, 'certutil', 'certutil is not there.')
  expect(answer).toMatchObject({ code: 'missing-tool', hint: `sudo ${command}` })
})

test('knows no command where no package manager is', async () => {
  const machine = createFakeMachine()
  expect(await toolInstallCommand(machine, 'certutil')).toBeNull()
  await expect(installTool(machine, 'certutil')).rejects.toMatchObject({ code: 'tool-missing' })
})

test('fetches the package lists of a fresh container and tries again', async () => {
  let updated = false
  const machine = createFakeMachine({
    programs: { 'apt-get': '/usr/bin/apt-get' },
    answer(_, args) {
      if (args[0] === 'update') updated = true
      return { exitCode: updated ? 0 : 100 }
    },
  })
  await installTool(machine, 'certutil')
  expect(machine.commands.map((command) => command.split(' ')[2])).toEqual([
    'install',
    'update',
    'install',
  ])
})

test('reports a package that cannot be installed', async () => {
  const machine = createFakeMachine({
    programs: { dnf: '/usr/bin/dnf' },
    answer: () => ({ exitCode: 1, stderr: 'Error: no such repository\n' }),
  })
  await expect(installTool(machine, 'certutil')).rejects.toMatchObject({
    code: 'tool-failed',
    message: '/usr/bin/dnf ended with exit code 1: Error: no such repository',
  })
})
