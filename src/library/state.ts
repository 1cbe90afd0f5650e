import { callback, text, type OptionKinds } from '../arguments.ts'
import { exists } from '../files/exists.ts'
import { givenStateDirectory, type StateDirectory } from '../home/state-directory.ts'
import { rootPath } from '../storage/files/scopes.ts'
import { settleInterrupted } from '../storage/files/settle.ts'

/** What every function of the library that reads the state directory takes. */
export interface StateOptions {
  /** The state directory, an absolute path; default: the one that the command line uses. */
  readonly home?: string
  /** The clock; default: the system's. */
  readonly now?: () => Date
}

export const stateOptions: OptionKinds<StateOptions> = {
  home: text("path.resolve('state')"),
  now: callback('() => new Date()'),
}

export const systemClock = (): Date => new Date()

/** Returns the state directory, with what an interrupted command left finished or undone. */
export async function openState(options: StateOptions): Promise<StateDirectory> {
  const state = await givenStateDirectory(options.home)
  await settleInterrupted(state)
  return state
}

/** Returns the state directory as `openState` does, and creates an authority where there is none. */
export async function openAuthority(options: StateOptions): Promise<StateDirectory> {
  const state = await openState(options)
  // Loaded only where the authority is not there, or damaged.
  if (!(await exists(rootPath(state, 'local')))) {
    const { ensureAuthority } = await import('../authority/create.ts')
    await ensureAuthority(state, (options.now ?? systemClock)())
  }
  return state
}
