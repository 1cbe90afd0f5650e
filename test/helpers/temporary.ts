import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { StateDirectory } from '../../src/home/state-directory.ts'

/** An empty directory, deleted when the test ends. */
export async function temporaryDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'rootling-test-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A state directory that does not exist yet, deleted when the test ends. */
export async function temporaryState(): Promise<StateDirectory> {
  return { path: join(await temporaryDirectory(), 'state'), owner: null }
}
