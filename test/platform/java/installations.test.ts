import { mkdir, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { whyNoKeystore } from '../../../platform/java/installations.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { createFakeMachine } from '../fake-machine.ts'

test('names a keystore that is a link to nothing, and says else that there is no Java', async () => {
  const home = await temporaryDirectory()
  const machine = createFakeMachine({ home })
  expect(await whyNoKeystore(machine)).toBe('No Java is on this machine.')
  const security = join(home, '.jdks/17/lib/security')
  await mkdir(security, { recursive: true })
  await symlink('/nowhere/cacerts', join(security, 'cacerts'))
  expect(await whyNoKeystore(machine)).toBe(
    `${security}/cacerts is a link to /nowhere/cacerts, which is not there.`,
  )
})
