import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { RootlingError } from '../errors.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import type { Directory } from './owner.ts'

/**
 * Throws `loose-key` when another user could replace the files in a state directory: that user owns
 * it, may write to it, or may rename it in a directory above. An absent directory is fine.
 */
export async function refuseSharedDirectory({ path, owner }: Directory): Promise<void> {
  if (process.platform === 'win32') return
  const found = statSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  const expected = owner?.uid ?? process.geteuid?.()
  // A directory of root's is fine, since only root can have made it. With sudo, however, the files
  // must belong to the user who called sudo.
  if (found.uid !== expected && (owner !== null || found.uid !== 0))
    throw new RootlingError(
      'loose-key',
      `The state directory ${quotedPath(path)} belongs to another user.`,
      {
        hint: `Set ROOTLING_HOME to one of yours, or where its disk keeps owners, take it over: sudo chown -R ${expected} ${shellWord(path)}`,
      },
    )
  if ((found.mode & 0o022) !== 0)
    throw new RootlingError(
      'loose-key',
      `Others can write to the state directory ${quotedPath(path)}.`,
      {
        hint: `chmod 700 ${shellWord(path)}`,
      },
    )
  for (let above = dirname(resolve(path)); ; above = dirname(above)) {
    if ((statSync(above).mode & 0o1002) === 0o0002)
      throw new RootlingError('loose-key', `Every user can rename what is in ${above}.`, {
        hint: `chmod o-w ${shellWord(above)}`,
      })
    if (above === dirname(above)) return
  }
}
