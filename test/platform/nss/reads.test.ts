import { utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createNssStore } from '../../../platform/nss/store.ts'
import { temporaryDirectory } from '../../helpers/temporary.ts'
import { anchor } from '../anchors.ts'
import { createFakeMachine } from '../fake-machine.ts'

test('reads a database once while nothing changes it, and each time while something writes', async () => {
  const directory = await temporaryDirectory()
  const file = join(directory, 'cert9.db')
  for (const name of ['cert9.db', 'key4.db', 'pkcs11.txt'])
    writeFileSync(join(directory, name), Buffer.alloc(200))
  let reads = 0
  const machine = createFakeMachine({
    programs: { certutil: '/usr/bin/certutil' },
    answer(_, args) {
      if (args[0] === '-L') reads++
      return {}
    },
  })
  const store = createNssStore(machine, {
    ...{ directory, scheme: 'sql', title: 'A database', as: 'person' },
    ...{ create: false, firefox: true },
  })
  const ask = async (): Promise<number> => {
    await store.has(anchor)
    await store.list()
    return reads
  }
  expect(await ask()).toBe(1)
  expect(await ask()).toBe(1)
  // As SQLite does, which counts its changes there.
  const changed = Buffer.alloc(200)
  changed.writeUInt32BE(1, 24)
  writeFileSync(file, changed)
  utimesSync(file, 1, 1)
  expect(await ask()).toBe(2)
  writeFileSync(`${file}-journal`, '')
  expect(await ask()).toBe(4)
})
