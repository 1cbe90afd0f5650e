import { existsSync } from 'node:fs'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { readSmall } from '../../src/doctor/checks/read.ts'
import { readInputBytes } from '../../src/files/read-input.ts'
import { textAt } from '../../src/runtimes/text-at.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

const endless = '/proc/self/pagemap'

// Read as a whole, it would fill the memory.
test.skipIf(!existsSync(endless))(
  'a file of /proc without a size or an end is refused, also through a link',
  async () => {
    const link = join(await temporaryDirectory(), '.npmrc')
    await symlink(endless, link)
    await expect(readInputBytes(link)).rejects.toMatchObject({
      code: 'file-unreadable',
      message: `${link} is larger than 1048576 bytes.`,
    })
    expect(textAt(link)).toBe('')
    expect(await readSmall(link)).toBeNull()
  },
)

test.skipIf(!existsSync('/proc/self/status'))('a short one is read', async () => {
  expect((await readInputBytes('/proc/self/status')).toString()).toMatch(/^Name:/)
  expect(textAt('/proc/self/status')).toMatch(/^Name:/)
  expect(await readSmall('/proc/self/status')).toMatch(/^Name:/)
})

test('a file is read as far as it goes, and an empty one too', async () => {
  const path = join(await temporaryDirectory(), 'roots.pem')
  for (const text of ['', 'é', 'x'.repeat(1024 * 1024)]) {
    await writeFile(path, text)
    expect((await readInputBytes(path)).toString()).toBe(text)
    expect(textAt(path)).toBe(text)
  }
  await writeFile(path, 'x'.repeat(1024 * 1024 + 1))
  await expect(readInputBytes(path)).rejects.toMatchObject({ code: 'file-unreadable' })
})
