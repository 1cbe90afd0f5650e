import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findJavaKeystores, whyNoKeystore } from '../../../platform/java/installations.ts'
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

test('finds the Javas of version managers, but a script of one is no Java', async () => {
  const home = await temporaryDirectory()
  const programs = { java: join(home, '.asdf/shims/java') }
  const machine = createFakeMachine({ home, programs })
  expect(await whyNoKeystore(machine)).toBe(
    `No keystore is where ${programs.java} leads. JAVA_HOME names a Java.`,
  )
  const homes = ['.asdf/installs/java/21', '.local/share/mise/installs/java/17', '.gradle/jdks/x']
  const files = homes.map((each) => join(home, each, 'lib/security/cacerts'))
  for (const file of files) {
    await mkdir(join(file, '..'), { recursive: true })
    await writeFile(file, '')
  }
  const found = (await findJavaKeystores(machine)).map(({ file }) => file)
  expect(found).toEqual(expect.arrayContaining(files))
})
