import { readFileSync, statSync } from 'node:fs'
import { delimiter, join, sep } from 'node:path'
import { runChild } from '../../platform/child.ts'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { shellWord } from '../shell-word.ts'
import { environmentFor, withChanges } from './environment.ts'
import type { Environment } from './variables.ts'

export interface RunRequest {
  readonly state: StateDirectory
  /** The environment that the command gets, with the variables that make it trust our roots. */
  readonly env: Environment
  readonly command: string
  readonly args: readonly string[]
  readonly cwd?: () => string
  /** Takes a sentence about roots that a variable named before and that cannot be read. */
  readonly warn: (sentence: string) => void
}

/** How a command ended, or why it was not started and the exit code that shells have for that. */
export type RunEnd =
  | { readonly code: number; readonly error?: RootlingError }
  | { readonly signal: NodeJS.Signals }

/**
 * Runs a command, without a shell, so that its programs trust the roots of the authority. Throws as
 * `environmentFor` does.
 */
export async function runTrusting({
  state,
  env,
  command,
  args,
  cwd,
  warn,
}: RunRequest): Promise<RunEnd> {
  const options = cwd === undefined ? {} : { cwd }
  const { changes, problems } = await environmentFor({ state, env, replace: true, ...options })
  for (const problem of problems) warn(problem)
  const end = await runChild(command, args, withChanges(env, changes))
  return 'error' in end ? notStarted(command, end.error, env) : end
}

/** POSIX: 127 for a command that is not found, 126 for one that cannot be run. */
function notStarted(command: string, cause: NodeJS.ErrnoException, env: Environment): RunEnd {
  const { code } = cause
  const error = (sentence: string, hint?: string): RootlingError =>
    new RootlingError('tool-missing', sentence, { hint, cause })
  if (code === 'ENOENT') {
    const interpreter = interpreterOf(command, env)
    const sentence =
      interpreter === null
        ? `There is no program ${command}${command.includes(sep) ? '' : ' in PATH'}.`
        : `${command} is there, but ${interpreter}, which its first line names, is not.`
    return {
      code: 127,
      error: error(sentence, interpreter === null ? hintFor(command) : undefined),
    }
  }
  if (code === 'EACCES')
    return {
      code: 126,
      error: error(
        `${command} cannot be run: it is no program, or you may not run it.`,
        `See what it is: ls -ld ${shellWord(command)}`,
      ),
    }
  return { code: 126, error: error(`${command} cannot be run (${code ?? cause.message}).`) }
}

function hintFor(command: string): string {
  if (/\s/.test(command)) return `Write it as several words: rootling run -- ${command}`
  return 'Check its spelling; what a shell knows by itself needs one: rootling run -- sh -c COMMAND'
}

/** Returns the program that the first line of a script names; `null`: there is no such script. */
function interpreterOf(command: string, env: Environment): string | null {
  const places = command.includes(sep)
    ? [command]
    : (env['PATH'] ?? '').split(delimiter).map((directory) => join(directory, command))
  const script = places.find((path) => statSync(path, { throwIfNoEntry: false })?.isFile())
  if (script === undefined) return null
  try {
    return /^#!\s*(\S+)/.exec(readFileSync(script, 'utf8'))?.[1] ?? 'the loader'
  } catch {
    return null
  }
}
