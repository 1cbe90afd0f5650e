import { callback, checkOptions, flag, object, type OptionKinds } from '../arguments.ts'
import { givenStateDirectory } from '../home/state-directory.ts'
import { stateOptions, type StateOptions } from './state.ts'

/** The options of `environmentFor`. */
export interface EnvironmentOptions extends Pick<StateOptions, 'home'> {
  /**
   * Whether to set also the variables by which a program trusts a file and nothing else, such as
   * SSL_CERT_FILE for curl, Python and Go; the file holds the roots of the system too. Default:
   * `true`, as `rootling run` does; `false`: as `rootling env`.
   */
  readonly replace?: boolean
  /** The environment that the children would have; default: that of this process. */
  readonly base?: Readonly<Record<string, string | undefined>>
  /** Called with a sentence for each file of roots that `base` names and that cannot be read. */
  readonly warn?: (sentence: string) => void
}

const environmentOptions: OptionKinds<EnvironmentOptions> = {
  replace: flag,
  base: object('process.env'),
  warn: callback('console.warn'),
  home: stateOptions.home,
}

/**
 * Returns variables that make child processes trust the authority beside what they trust by
 * themselves: Node, Deno, Bun, curl, OpenSSL, Python, Ruby, Go, git, cargo and others. They are put
 * over those of `base`; what a variable of `base` named before stays trusted. Writes the files of
 * roots that the variables name into the state directory, which are kept up to date there. Throws
 * `no-authority`, `usage`, `corrupt-state`, `newer-state` and `state-unwritable`.
 *
 * @example
 * import { execFileSync } from 'node:child_process'
 * import { certificateFor, environmentFor } from 'rootling'
 *
 * await certificateFor('localhost') // creates the authority where there is none
 * const env = { ...process.env, ...(await environmentFor()) }
 * execFileSync(process.execPath, ['--eval', 'fetch'], { env })
 */
export async function environmentFor(
  options: EnvironmentOptions = {},
): Promise<Record<string, string>> {
  checkOptions('environmentFor', options, environmentOptions)
  const { environmentFor: changesFor } = await import('../runtimes/environment.ts')
  const { replace = true, base = process.env, warn } = options
  const { changes, problems } = await changesFor({
    state: await givenStateDirectory(options.home),
    env: base,
    replace,
  })
  for (const problem of problems) warn?.(problem)
  // What would be taken out is of an earlier call, and names files that are kept up to date.
  return Object.fromEntries([...changes].filter((one): one is [string, string] => one[1] !== null))
}
