import { join } from 'node:path'
import { RootlingError } from '../../errors.ts'
import { writeFileAtomic } from '../../files/atomic.ts'
import { readText } from '../../files/read.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { toDelete } from '../../shell-commands.ts'
import { isText } from './stored-values.ts'
import { quotedPath } from '../../shell-word.ts'

/** What is remembered of the trust stores between two commands. */
export interface StoreMemory {
  /** The kinds of stores that `install` was told to use; `null`: every kind. */
  readonly kinds: readonly string[] | null
  /** The names of the scopes whose roots were put into no store, or taken out of all. */
  readonly untrusted: readonly string[]
}

const memoryPath = ({ path }: StateDirectory): string => join(path, 'stores.json')

/**
 * Reads what is remembered of the trust stores; `null`: nothing is, since an older version or
 * `ca import` made the authority. Throws `corrupt-state`.
 */
export async function readStoreMemory(state: StateDirectory): Promise<StoreMemory | null> {
  const text = await readText(memoryPath(state), 1024 * 1024)
  return text === null ? null : (parseMemory(text) ?? damaged(state))
}

function parseMemory(text: string): StoreMemory | null {
  try {
    const { kinds, untrusted } = JSON.parse(text) as StoreMemory
    const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every(isText)
    return (kinds === null || isTexts(kinds)) && isTexts(untrusted) ? { kinds, untrusted } : null
  } catch {
    return null
  }
}

function damaged(state: StateDirectory): never {
  const path = memoryPath(state)
  throw new RootlingError('corrupt-state', `${quotedPath(path)} is damaged.`, {
    hint: `It holds only which trust stores were chosen: ${toDelete(path)}; then rootling install`,
  })
}

/** Replaces what is remembered of the trust stores. */
export async function writeStoreMemory(
  state: StateDirectory,
  { kinds, untrusted }: StoreMemory,
): Promise<void> {
  const data = `${JSON.stringify({ kinds, untrusted: [...new Set(untrusted)] })}\n`
  await writeFileAtomic(memoryPath(state), { data, mode: 0o644 }, state.owner)
}
