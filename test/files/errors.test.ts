import { join } from 'node:path'
import { expect, test } from 'vitest'
import { unwritable } from '../../src/files/errors.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

test('names the directory that refuses, which is the nearest that exists', async () => {
  const directory = await temporaryDirectory()
  const error = Object.assign(new Error('x'), { code: 'EACCES' })
  expect(unwritable(join(directory, 'a/b/key.pem'), error).hint).toBe(
    `Check who owns the directory: ls -ld ${directory}, or set ROOTLING_HOME or --out-dir to a writable one`,
  )
})
