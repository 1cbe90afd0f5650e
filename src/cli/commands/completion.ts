import { RootlingError } from '../../errors.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { completionSpec } from '../specs/completion.ts'
import { completionScript, isShell, shells } from '../completion/scripts.ts'

/**
 * `rootling completion SHELL`: prints the completion script of a shell; without a name, of the shell
 * in SHELL.
 */
export async function completion(
  args: ArgumentsOf<typeof completionSpec>,
  { env, output }: Context,
): Promise<ExitCode> {
  const shell = args.positionals[0] ?? shellOf(env)
  if (args.positionals.length > 1 || !isShell(shell))
    throw new RootlingError(
      'usage',
      `rootling completion takes one of ${shells.join(', ')}, not ${args.positionals.join(' ')}.`,
      { hint: 'rootling completion bash' },
    )
  const script = completionScript(shell)
  if (output.json) output.result([], { shell, script })
  else output.contents(Buffer.from(script))
  return exitCodes.ok
}

/** The shell that a person logs in with; bash where it is none of those that have a script. */
function shellOf(env: Context['env']): string {
  const shell = (env['SHELL'] ?? '').replace(/^.*\//, '')
  if (isShell(shell)) return shell
  return process.platform === 'win32' && shell === '' ? 'powershell' : 'bash'
}
