import { join } from 'node:path'
import { isLeftover } from '../../files/atomic.ts'
import { hasCode, unwritable } from '../../files/errors.ts'
import { readdir } from '../../files/sync-fs.ts'
import type { StateDirectory } from '../../home/state-directory.ts'

/** The directory of the files that hold what a command is about to write. */
export const pendingDirectory = (state: StateDirectory): string => join(state.path, 'pending')

/** Takes a sentence for the user about a file that could not be finished. */
export type Tell = (sentence: string) => void

/** The names of pending files: a serial number of ours in hex, and `.json`. */
export const pendingNames = /^[0-9a-f]{32}\.json$/

/** Returns the names of pending files, whole or not. A foreign file in their directory is left. */
export async function unfinished(state: StateDirectory): Promise<string[]> {
  try {
    const names = await readdir(pendingDirectory(state))
    return names.filter((name) => pendingNames.test(name) || isLeftover(name))
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return []
    throw unwritable(pendingDirectory(state), error)
  }
}
