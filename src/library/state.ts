import { exists } from '../files/exists.ts'
import { stateDirectory, type StateDirectory } from '../home/state-directory.ts'
import { rootPath } from '../storage/files/scopes.ts'
import { settleInterrupted } from '../storage/files/settle.ts'

/** What every function of the library that reads the state directory takes. */
export interface StateOptions {
  /** The state directory, an absolute path; default: the one that the command line uses. */
  readonly home?: string
  /** The clock; default: the system's. */
  readonly now?: () => Date
}

export const systemClock = (): Date => new Date()

/**
 * Returns the state directory, with what an interrupted command left finished or undone. Creates an
 * authority where there is none.
 */
export async function openAuthority({
  home,
  now = systemClock,
}: StateOptions): Promise<StateDirectory> {
  const state = home === undefined ? await stateDirectory() : { path: home, owner: null }
  await settleInterrupted(state)
  // Loaded only where the authority is not there, or damaged.
  if (!(await exists(rootPath(state, 'local')))) {
    const { ensureAuthority } = await import('../authority/create.ts')
    await ensureAuthority(state, now())
  }
  return state
}
