import { RootlingError } from '../../errors.ts'
import { runTrusting, type RunEnd } from '../../runtimes/run.ts'
import type { ArgumentsOf, CommandEnd } from '../command.ts'
import type { Context } from '../context.ts'
import type { runSpec } from '../specs/runtimes.ts'

/** `rootling run`: runs a command whose programs trust the authority, and ends as it does. */
export async function run(
  { positionals: [command = '', ...args], name }: ArgumentsOf<typeof runSpec>,
  context: Context,
): Promise<CommandEnd> {
  const { state, callerEnv, output } = context
  if (command === '')
    throw new RootlingError('usage', 'No command to run was given.', {
      hint: 'rootling run -- npm test',
    })
  const warn = (sentence: string): void => output.warn(sentence)
  const cwd = (): string => context.cwd
  const runIt = (
    words: readonly string[],
    env: Readonly<Record<string, string | undefined>>,
  ): Promise<RunEnd> => runTrusting({ state, env, command, args: words, cwd, warn })
  const end =
    name === undefined
      ? await runIt(args, callerEnv)
      : await (
          await import('../named-run.ts')
        ).runNamed({ name, command, args, run: runIt }, context)
  if ('error' in end && end.error !== undefined) output.fail(end.error)
  return end
}
