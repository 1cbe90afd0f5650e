import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { lacksRoot } from '../../platform/lacks-root.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { anchor } from './anchors.ts'

const sqlite = Buffer.from('SQLite format 3\0')
const jks = Buffer.from('feedfeed00000002', 'hex')
const page = Buffer.alloc(100)

async function lacks(...parts: readonly Buffer[]): Promise<boolean> {
  const file = join(await temporaryDirectory(), 'store')
  await writeFile(file, Buffer.concat(parts))
  return lacksRoot(file, anchor.der)
}

test.each([[[]], [[sqlite, page]], [[jks, page]]])(
  'a store without the root certainly lacks it (%#)',
  async (parts) => {
    expect(await lacks(...parts)).toBe(true)
  },
)

test('a store with the root does not, also where it is divided between pages', async () => {
  const key = new X509Certificate(anchor.der).publicKey.export({ type: 'spki', format: 'der' })
  const start = anchor.der.indexOf(key.subarray(-64))
  for (let at = start; at <= start + 64; at += 8)
    for (const head of [sqlite, jks])
      expect(await lacks(head, anchor.der.subarray(0, at), page, anchor.der.subarray(at))).toBe(
        false,
      )
})

test('nothing is certain of another format, an absent file, or a journal', async () => {
  expect(await lacks(Buffer.from('3082', 'hex'), page)).toBe(false)
  const directory = await temporaryDirectory()
  expect(await lacksRoot(join(directory, 'absent'), anchor.der)).toBe(false)
  await writeFile(join(directory, 'cert9.db'), sqlite)
  await writeFile(join(directory, 'cert9.db-journal'), '')
  expect(await lacksRoot(join(directory, 'cert9.db'), anchor.der)).toBe(false)
})
