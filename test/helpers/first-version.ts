import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import { temporaryState } from './temporary.ts'

interface StoredFile {
  readonly mode: string
  readonly text?: string
  readonly base64?: string
}

/**
 * Returns a state directory as commit 676f09f wrote it, the last one before the file `version`: an
 * authority of November 2026 with two certificates on record, the first of them revoked.
 */
export async function firstVersionState(): Promise<StateDirectory> {
  const state = await temporaryState()
  const json = readFileSync(join(import.meta.dirname, '../storage/version-1.json'), 'utf8')
  mkdirSync(state.path, { mode: 0o700 })
  for (const [name, file] of Object.entries(JSON.parse(json) as Record<string, StoredFile>)) {
    const path = join(state.path, name)
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    const { mode, text = '', base64 } = file
    const data = base64 === undefined ? text : Buffer.from(base64, 'base64')
    writeFileSync(path, data, { mode: parseInt(mode, 8) })
  }
  return state
}
