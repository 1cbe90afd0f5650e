import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { findFirefoxPolicies } from '../../../platform/firefox/policies.ts'
import { createMachine, type Machine } from '../../../platform/machine.ts'
import { anchor, otherAnchor } from '../anchors.ts'

/** A machine of another process, which takes its time between reading and writing. */
async function slowMachine(): Promise<Machine> {
  const machine = await createMachine({ env: { PATH: '/usr/bin:/bin' } })
  return {
    ...machine,
    async writeFile(file, contents) {
      await new Promise((resolve) => setTimeout(resolve, 200))
      await machine.writeFile(file, contents, 'person')
    },
    async replaceFile(file, contents) {
      await new Promise((resolve) => setTimeout(resolve, 200))
      await machine.replaceFile(file, contents, 'person')
    },
  }
}

test('two persons who install at once lose no root', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'policies-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const file = join(directory, 'policies.json')
  writeFileSync(file, '{"policies":{"DisableTelemetry":true}}')
  const both = [anchor, otherAnchor]
  await Promise.all(
    both.map(async (each) => {
      const [store] = await findFirefoxPolicies(await slowMachine(), directory, [])
      await store?.install(each)
    }),
  )
  expect(JSON.parse(readFileSync(file, 'utf8')).policies.Certificates.Install.toSorted()).toEqual(
    both.map(({ name }) => join(directory, `${name}.crt`)).toSorted(),
  )
})
