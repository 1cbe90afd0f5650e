import { resolve } from 'node:path'
import { showTargetOf } from '../../doctor/show.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { readInputBytes } from '../read-input.ts'
import { printShown } from '../show-text.ts'
import type { showSpec } from '../specs/certificates.ts'

/**
 * `rootling show FILE|SERIAL|HOST:PORT`: prints what a certificate says, and what would refuse it.
 */
export async function showCommand(
  args: ArgumentsOf<typeof showSpec>,
  context: Context,
): Promise<ExitCode> {
  const [word = ''] = args.positionals
  const meant = showTargetOf(word)
  const target =
    meant.from === 'file'
      ? { ...meant, name: word, contents: await readInputBytes(resolve(context.cwd, word)) }
      : meant
  await printShown(word, target, context)
  return exitCodes.ok
}
