import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { unwritable } from '../../src/files/errors.ts'
import { removeFile } from '../../src/files/sync-fs.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

test('names the directory that refuses, which is the nearest that exists', async () => {
  const directory = await temporaryDirectory()
  const error = Object.assign(new Error('x'), { code: 'EACCES' })
  expect(unwritable(join(directory, 'a/b/key.pem'), error).hint).toBe(
    `Choose another directory, or check who owns this one: ls -ld ${directory}`,
  )
})

test('a file that cannot be deleted is named with the reason, and an absent one is none', async () => {
  const directory = await temporaryDirectory()
  await removeFile(join(directory, 'absent'))
  mkdirSync(join(directory, 'own'))
  writeFileSync(join(directory, 'file'), '')
  await expect(removeFile(join(directory, 'own'))).rejects.toMatchObject({
    code: 'state-unwritable',
    message: expect.stringContaining(join(directory, 'own')),
  })
  await expect(removeFile(join(directory, 'file/below'))).rejects.toMatchObject({
    code: 'state-unwritable',
    message: expect.stringContaining('a parent is not a directory'),
  })
})
