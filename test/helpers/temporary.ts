import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { StateDirectory } from '../../src/home/state-directory.ts'

const made: string[] = []
afterAll(async () => {
  for (const path of made) await rm(path, { recursive: true, force: true })
})

/**
 * Returns a new empty directory, deleted after the tests of the file. Hooks may call this function
 * too.
 */
export async function temporaryDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'rootling-test-'))
  made.push(path)
  return path
}

/** Returns a state directory that does not exist yet; it is deleted after the tests of the file. */
export async function temporaryState(): Promise<StateDirectory> {
  return { path: join(await temporaryDirectory(), 'state'), owner: null }
}
