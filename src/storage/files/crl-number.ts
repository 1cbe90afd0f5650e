import { join } from 'node:path'
import { RootlingError } from '../../errors.ts'
import { writeFileAtomic } from '../../files/atomic.ts'
import { readText } from '../../files/read.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { toDelete } from '../../shell-commands.ts'
import { scopePath } from './scopes.ts'
import { quotedPath } from '../../shell-word.ts'

/**
 * Returns the number of a scope's next CRL. Call it under the lock. The number is stored before it
 * is used, so that no two CRLs share one, whichever process is killed. It is never below the
 * clock's seconds: a scope restored from a backup must not begin again at an old number. Throws
 * `corrupt-state`.
 */
export async function nextCrlNumber(
  state: StateDirectory,
  scopeName: string,
  now: Date,
): Promise<number> {
  const path = join(scopePath(state, scopeName), 'crl-number')
  const text = (await readText(path, 64)) ?? '0\n'
  if (!/^\d{1,15}\n$/.test(text))
    throw new RootlingError('corrupt-state', `${quotedPath(path)} is damaged.`, {
      hint: `Numbers go on from the clock without it: ${toDelete(path)}`,
    })
  const next = Math.max(Number(text) + 1, Math.floor(now.getTime() / 1000))
  await writeFileAtomic(path, { data: `${next}\n`, mode: 0o644 }, state.owner)
  return next
}
