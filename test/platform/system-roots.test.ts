import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import { expect, test } from 'vitest'
import { findSystemRoots } from '../../platform/system-roots.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

test('the first file with roots counts, and its stamp changes with it', async () => {
  const directory = await temporaryDirectory()
  const files = ['missing', 'directory', 'empty', 'roots', 'others'].map((name) =>
    join(directory, name),
  )
  mkdirSync(files[1] ?? '')
  writeFileSync(files[2] ?? '', '')
  writeFileSync(files[3] ?? '', 'roots')
  writeFileSync(files[4] ?? '', 'others')
  const { stamp, read } = await findSystemRoots(files, 'linux')
  expect(await read()).toBe('roots')
  expect((await findSystemRoots(files, 'linux')).stamp).toBe(stamp)
  writeFileSync(files[3] ?? '', 'other roots')
  expect((await findSystemRoots(files, 'linux')).stamp).not.toBe(stamp)
})

test('without such a file, and on macOS, the roots are those that Node knows', async () => {
  const directory = await temporaryDirectory()
  const file = join(directory, 'roots')
  writeFileSync(file, 'roots')
  for (const { stamp, read } of [
    await findSystemRoots([], 'linux'),
    await findSystemRoots([file], 'darwin'),
  ]) {
    expect(stamp).toMatch(/^\d{4}-\d\d-\d\d$/)
    expect(await read()).toContain(rootCertificates[0])
  }
})
