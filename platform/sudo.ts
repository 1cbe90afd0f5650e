import path from 'node:path'
import { RootlingError } from '../src/errors.ts'
import {
  run,
  timeLimits,
  type CommandOptions,
  type CommandResult,
  type RunOptions,
} from './command.ts'
import { findProgram, isTrustedProgram, rootEnvironment } from './programs.ts'

export interface SudoOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The name of the user whose password sudo asks for. */
  readonly user: string
  /** Whether sudo may be used; if not, every call is refused, and the error says so. */
  readonly allowed: boolean
  /** Whether sudo may ask for a password. */
  readonly interactive: boolean
  /** What to type where sudo may not be used or asks for a password; absent: a general advice. */
  readonly attendedCommand?: string | undefined
  /** Called once, before sudo may ask for the password. */
  readonly onPrompt?: ((sentence: string) => void) | undefined
  readonly onWait?: RunOptions['onWait']
}

export type RunAsRoot = (
  program: string,
  args: readonly string[],
  command: CommandOptions,
) => Promise<CommandResult>

/**
 * Returns a function that runs programs as root through sudo, one at a time: two password prompts
 * at once would share a terminal. The function throws `store-failed` when sudo is not allowed, not
 * installed, or refuses.
 */
export function createSudo(options: SudoOptions): RunAsRoot {
  const authenticate = createAuthentication(options)
  let last: Promise<unknown> = Promise.resolve()
  return (program, args, command) => {
    const next = last.then(() => runThroughSudo(program, args, command))
    last = next.catch(() => undefined)
    return next
  }

  async function runThroughSudo(
    program: string,
    args: readonly string[],
    command: CommandOptions,
  ): Promise<CommandResult> {
    const { env, allowed, interactive, attendedCommand } = options
    const what = command.name ?? path.basename(program)
    if (!allowed)
      throw needsRoot(
        `${what} needs root, and sudo was not allowed.`,
        attendedCommand ?? 'Run it again without --no-sudo',
      )
    const sudo = await findProgram('sudo', env, true)
    if (sudo === null)
      throw needsRoot(
        `${what} needs root, and sudo is not on this machine.`,
        'Run it again as root',
      )
    // If sudo ran a program that the user can change, such as one in ~/bin, then any program of the
    // user could become root.
    if (!(await isTrustedProgram(program)))
      throw needsRoot(
        `${program} can be changed by other users than root, so it is not run as root.`,
      )
    await authenticate(sudo, what)
    const line = [interactive ? '--' : '-n', program, ...args]
    const kill = await findProgram('kill', env, true)
    return run(sudo, line, {
      name: program,
      ...command,
      env: rootEnvironment(env),
      onWait: options.onWait,
      end: async (signal, ids) => {
        if (kill === null) return
        const args = ['-n', '--', kill, `-${signal}`, ...ids.map(String)]
        await run(sudo, args, { env }).catch(() => undefined)
      },
    })
  }
}

/**
 * Returns a function that makes sudo ask for the password, if it needs one. The prompt is announced
 * only once, however often sudo asks.
 */
function createAuthentication(options: SudoOptions) {
  const { env, user, interactive, attendedCommand, onPrompt } = options
  let announced = false
  return async (sudo: string, what: string): Promise<void> => {
    const ready = await run(sudo, ['-n', '--', '/bin/true'], { env })
    if (ready.exitCode === 0) return
    if (!interactive)
      throw needsRoot(
        `${what} needs root, and sudo would ask for a password where nobody can type one.`,
        attendedCommand ?? 'Run it again in a terminal, or type sudo -v first',
      )
    if (!announced) onPrompt?.(`sudo asks for the password of ${user}.`)
    announced = true
    const asked = await run(sudo, ['-v'], { env, timeLimit: timeLimits.dialog })
    if (asked.exitCode !== 0)
      throw needsRoot(`${what} needs root, and sudo did not let ${user} in.`)
  }
}

function needsRoot(sentence: string, hint?: string): RootlingError {
  return new RootlingError('store-failed', sentence, { hint })
}
