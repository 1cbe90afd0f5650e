import { removeDirectoryAtomic } from '../files/atomic.ts'
import { withLock } from '../files/lock.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { deleteScope } from '../storage/files/scopes.ts'
import { exclusively } from '../storage/files/unfinished-writes.ts'

/** Deletes a scope. Its root must have been removed from the trust stores before. */
export async function forgetScope(state: StateDirectory, name: string): Promise<void> {
  await exclusively(state, () => deleteScope(state, name))
}

/**
 * Deletes keys, scopes and record. The roots must have been removed from the trust stores before.
 */
export async function deleteAuthority(state: StateDirectory): Promise<void> {
  await withLock(state, () => removeDirectoryAtomic(state.path))
}
