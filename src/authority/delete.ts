import { lstatSync, realpathSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { withLock } from '../files/lock.ts'
import { isTaken, removeEntries, removeIfEmpty } from '../files/own-entries.ts'
import { passwdHome } from '../home/home-directory.ts'
import { authoritiesPath, defaultAuthority, type StateDirectory } from '../home/state-directory.ts'
import { updateAllRoots } from '../storage/files/all-roots.ts'
import { deleteScope, rotationParts, scopeNames } from '../storage/files/scopes.ts'
import { stateEntries } from '../storage/files/state-layout.ts'
import { exclusively } from '../storage/files/unfinished-writes.ts'
import { refuseNewer } from '../storage/files/version.ts'

/**
 * Deletes a scope, and first what a rotation that stopped keeps beside it: a later scope of the same
 * name would become that. The roots must have been removed from the trust stores before. Returns the
 * paths of the foreign files in the directories, which are left with them.
 */
export async function forgetScope(state: StateDirectory, name: string): Promise<readonly string[]> {
  return exclusively(state, async () => {
    const parts = (await rotationParts(state)).filter((each) => each.name === name)
    const left: string[] = []
    for (const part of [...parts.map((each) => each.part), ''])
      left.push(...(await deleteScope(state, name + part)))
    await updateAllRoots(state)
    return left
  })
}

/** Whether there is something to delete in a state directory. */
export async function isDeletable(state: StateDirectory): Promise<boolean> {
  if (!isTaken(state.path)) return false
  const { files, foreign } = await stateEntries(state)
  const isEmpty = foreign.length === 0 && !isTaken(authoritiesPath(state))
  return files.length > 0 || (isEmpty && !isKept(state.path))
}

/**
 * Deletes keys, scopes, record and all else that Rootling wrote in the state directory, file by
 * file, and then the directories that are empty. The roots must have been removed from the trust
 * stores before. The same call finishes what a killed one left. Returns the paths of foreign files,
 * and of the state directory if it is left, since it is not empty or has another purpose.
 */
export async function deleteAuthority(state: StateDirectory): Promise<readonly string[]> {
  const foreign = await withLock(state, async () => {
    await refuseNewer(state)
    const copy = join(state.path, 'rootCA.pem')
    const { files, foreign: found } = await stateEntries(state)
    // Whose copy it is can be told only while the scopes are there.
    if (files.includes(copy)) await removeEntries({ files: [copy] })
    // Each scope goes in one step, and without scopes there is no authority any more.
    const parts = (await rotationParts(state)).map(({ name, part }) => `${name}${part}`)
    for (const name of [...(await scopeNames(state)), ...parts]) await deleteScope(state, name)
    await removeEntries(await stateEntries(state))
    return found
  })
  if (!isKept(state.path)) removeIfEmpty(state.path)
  if (state.authority !== undefined) {
    const base = defaultAuthority(state)
    removeIfEmpty(authoritiesPath(base))
    if (!isKept(base.path)) removeIfEmpty(base.path)
  }
  return isTaken(state.path) ? [...foreign, state.path] : foreign
}

/**
 * Whether a directory is left even if it is empty: it is a home directory, the root of a file
 * system, or behind a symbolic link that a person made.
 */
function isKept(path: string): boolean {
  const info = lstatSync(path, { throwIfNoEntry: false })
  if (info === undefined) return false
  if (info.isSymbolicLink()) return true
  const real = realpathSync(path)
  // What lstat and stat say of one directory may differ on Windows, so all is asked of stat.
  const own = statSync(real)
  if (real === dirname(real) || statSync(dirname(real)).dev !== own.dev) return true
  return [process.env['HOME'], passwdHome()].some((home) => {
    const found = statSync(home || '/', { throwIfNoEntry: false })
    return found !== undefined && found.ino === own.ino && found.dev === own.dev
  })
}
