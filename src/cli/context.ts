import type { StateDirectory } from '../home/state-directory.ts'
import type { Output } from './output.ts'

/** What a command receives besides its arguments. */
export interface Context {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The environment as it was when the process started, for programs that it runs. */
  readonly callerEnv: Readonly<Record<string, string | undefined>>
  /** The directory in which the command was started; throws when it was deleted. */
  readonly cwd: string
  readonly state: StateDirectory
  readonly output: Output
  /**
   * Whether the person may be asked questions: standard input and error are a terminal, and --json
   * is off.
   */
  readonly interactive: boolean
  readonly now: () => Date
}
