import { RootlingError } from '../../errors.ts'
import { exitCodes, type CommandBody } from '../command.ts'
import type { Context } from '../context.ts'
import type { completionSpec } from '../specs/completion.ts'
import type { Commands } from '../completion/model.ts'
import { completionScript, isShell, shells } from '../completion/scripts.ts'

/**
 * `rootling completion SHELL`: prints the completion script of a shell; without a name, of the shell
 * in SHELL. Returns the body for the commands of the table, which this file cannot import.
 */
export const completionOf =
  (commands: Commands): CommandBody<typeof completionSpec> =>
  async ({ positionals }, { env, output }) => {
    const shell = positionals[0] ?? shellOf(env)
    if (positionals.length > 1 || !isShell(shell))
      throw new RootlingError(
        'usage',
        `rootling completion takes one of ${shells.join(', ')}, not ${positionals.join(' ')}.`,
        { hint: 'rootling completion bash' },
      )
    const script = completionScript(shell, commands)
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
