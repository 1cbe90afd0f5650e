import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { temporaryState } from '../helpers/temporary.ts'

test('a CACHEDIR.TAG of another program stays as it is; where there is none, one is written', async () => {
  const now = new Date()
  const foreign = 'Signature: 8a477f597d28d172789f06886806bc55\n# Of another program.\n'
  const state = await temporaryState()
  await mkdir(state.path, { recursive: true, mode: 0o700 })
  await writeFile(join(state.path, 'CACHEDIR.TAG'), foreign)
  await ensureAuthority(state, now)
  expect(await readFile(join(state.path, 'CACHEDIR.TAG'), 'utf8')).toBe(foreign)
  const other = await temporaryState()
  await ensureAuthority(other, now)
  expect(await readFile(join(other.path, 'CACHEDIR.TAG'), 'utf8')).toContain('Keys of a local')
})
