import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import { keptCertificate } from '../../src/certificates/kept.ts'
import { temporaryState } from '../helpers/temporary.ts'

test('a pipe in the place of what was checked keeps nobody waiting', async () => {
  const now = new Date()
  const state = await temporaryState()
  await ensureAuthority(state, now)
  const ask = () => keptCertificate(state, ['app.test'], {}, now)
  const first = await ask()
  execFileSync('mkfifo', [join(state.path, 'kept/checked.json')])
  expect(await ask()).toEqual(first)
  expect(await ask()).toEqual(first)
})
