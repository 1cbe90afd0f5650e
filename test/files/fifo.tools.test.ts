import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { findNssDatabases } from '../../platform/nss/browsers.ts'
import { ensureAuthority } from '../../src/authority/create.ts'
import { issue } from '../../src/certificates/issue.ts'
import { temporaryDirectory, temporaryState } from '../helpers/temporary.ts'
import { runTool } from '../helpers/tools.ts'
import { createFakeMachine } from '../platform/fake-machine.ts'

const now = new Date()

async function makeFifo(path: string, ...options: string[]): Promise<void> {
  expect((await runTool('mkfifo', [...options, path])).exitCode).toBe(0)
}

describe('a FIFO is refused, without waiting for a writer,', () => {
  test('in the place of a signing key', async () => {
    const state = await temporaryState()
    await ensureAuthority(state, now)
    const key = join(state.path, 'scopes', 'local', 'intermediate-key.pem')
    await rm(key)
    await makeFifo(key, '-m', '600')
    const issuing = issue(state, { names: ['localhost'], files: null }, now)
    await expect(issuing).rejects.toMatchObject({
      code: 'file-unreadable',
      message: `${key} is not a regular file.`,
    })
  })

  test('in the place of a certificate, even by force', async () => {
    const state = await temporaryState()
    await ensureAuthority(state, now)
    const outDir = await temporaryDirectory()
    const path = join(outDir, 'localhost.pem')
    await makeFifo(path)
    const issuing = issue(state, { names: ['localhost'], files: { outDir }, force: true }, now)
    await expect(issuing).rejects.toMatchObject({
      code: 'state-unwritable',
      message: `${path} is not a regular file.`,
    })
  })

  test('in the place of profiles.ini', async () => {
    const home = await temporaryDirectory()
    await mkdir(join(home, '.mozilla/firefox'), { recursive: true })
    await makeFifo(join(home, '.mozilla/firefox/profiles.ini'))
    expect(await findNssDatabases(createFakeMachine({ home }))).toEqual([])
  })
})
