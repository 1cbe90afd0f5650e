import { RootlingError } from '../../errors.ts'
import { runTrusting } from '../../runtimes/run.ts'
import type { ArgumentsOf, CommandEnd } from '../command.ts'
import type { Context } from '../context.ts'
import type { runSpec } from '../specs/runtimes.ts'

/** `rootling run`: runs a command whose programs trust the authority, and ends as it does. */
export async function run(
  { positionals: [command = '', ...args] }: ArgumentsOf<typeof runSpec>,
  context: Context,
): Promise<CommandEnd> {
  const { state, callerEnv: env, output } = context
  if (command === '')
    throw new RootlingError('usage', 'No command to run was given.', {
      hint: 'rootling run -- npm test',
    })
  const warn = (sentence: string): void => output.warn(sentence)
  const cwd = (): string => context.cwd
  const end = await runTrusting({ state, env, command, args, cwd, warn })
  if ('error' in end && end.error !== undefined) output.fail(end.error)
  return end
}
