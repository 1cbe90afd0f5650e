import { realpathSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { keepToUser } from './access-list.ts'
import { hasCode, unwritable } from './errors.ts'
import { nearestExisting } from './exists.ts'
import type { Owner } from './owner.ts'
import { chown, mkdir } from './sync-fs.ts'

/**
 * Creates a directory and its missing parents, by default for the owner alone. Throws
 * `state-unwritable`.
 */
export async function makePrivateDirectory(
  path: string,
  owner: Owner | null,
  mode = 0o700,
): Promise<void> {
  try {
    const first = await makeMissing(path, mode, rightsAt(path, owner))
    if (first !== undefined && (mode & 0o077) === 0) await keepToUser(first, 'directory')
    if (first === undefined || owner === null) return
    for (let made = path; made.length >= first.length; made = dirname(made))
      await chown(made, owner.uid, owner.gid)
  } catch (error) {
    throw unwritable(path, error)
  }
}

/**
 * Makes a directory and its missing parents. Returns the first directory that it made; `undefined`:
 * none. Node's own recursion reports a read-only disk as ENOENT, and never ends in /proc, which
 * says ENOENT although the parent exists.
 */
async function makeMissing(
  path: string,
  mode: number,
  rights: Owner | null,
): Promise<string | undefined> {
  const make = async (): Promise<boolean> => {
    try {
      await mkdir(path, { mode }, rights)
      return true
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return false
      throw error
    }
  }
  // The directory mostly exists, and Node takes longer to make an error than to ask.
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return undefined
  try {
    return (await make()) ? path : undefined
  } catch (error) {
    if (!hasCode(error, 'ENOENT') || dirname(path) === path) throw error
    const first = await makeMissing(dirname(path), mode, rights)
    const last = (await make()) ? path : undefined
    return first ?? last
  }
}

/**
 * Returns whose rights make a directory under sudo: the owner's where a link of theirs leads there,
 * since it may lead anywhere; else root's, as for a directory in /opt that ROOTLING_HOME names.
 */
function rightsAt(path: string, owner: Owner | null): Owner | null {
  if (owner === null) return null
  const found = nearestExisting(path)
  return realpathSync(found) === found ? null : owner
}
