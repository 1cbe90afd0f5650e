import { exists } from '../../files/exists.ts'
import { refuseSharedDirectory } from '../../files/shared-directory.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { unfinished, type Tell } from './pending.ts'
import { scopesPath } from './scopes.ts'
import { refuseNewer } from './version.ts'

/**
 * Finishes or undoes what an interrupted command left; each command begins with it. Calls `tell` for
 * each file that cannot be finished, which is then given up, except where a later attempt may
 * succeed. Without `tell`, all such files are left for a later command. Throws `loose-key`, and
 * `newer-state` where a newer Rootling wrote the state directory.
 */
export async function settleInterrupted(state: StateDirectory, tell?: Tell): Promise<void> {
  // A directory without scopes may be open to others: rootling-mkcert makes it private later.
  if (await exists(scopesPath(state))) await refuseSharedDirectory(state)
  const left = await unfinished(state)
  await refuseNewer(state)
  if (left.length === 0) return
  // Loaded only here: hardly ever was a command interrupted.
  const { exclusively } = await import('./unfinished-writes.ts')
  await exclusively(state, async () => undefined, tell)
}
