import { RootlingError } from '../../errors.ts'
import { changesBack, environmentFor } from '../../runtimes/environment.ts'
import { formFor, formNamed, textFor } from '../../runtimes/shells.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { envSpec } from '../specs/runtimes.ts'

/** `rootling env`: prints the variables by which programs trust the authority. */
export async function env(args: ArgumentsOf<typeof envSpec>, context: Context): Promise<ExitCode> {
  const { state, output } = context
  if (args.unset === true && args.shell === 'dotenv')
    throw new RootlingError('usage', 'A dotenv file cannot take variables back.', {
      hint: 'Delete the file, or leave out --unset',
    })
  const { changes, problems } =
    args.unset === true
      ? { changes: changesBack(state, context.env), problems: [] }
      : await environmentFor({
          state,
          env: context.env,
          cwd: () => context.cwd,
          replace: args.replace === true,
        })
  for (const problem of problems) output.warn(problem)
  if (output.json) output.result([], { variables: Object.fromEntries(changes) })
  else {
    const form = formNamed(args.shell ?? '') ?? formFor(context.env)
    output.contents(Buffer.from(textFor(form, changes)))
  }
  return exitCodes.ok
}
