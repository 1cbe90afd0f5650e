import { forget } from '../../certificates/forget.ts'
import { RootlingError } from '../../errors.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeRecord } from '../../certificates/describe-record.ts'
import { describeHolder } from '../describe.ts'
import type { forgetSpec } from '../specs/certificates.ts'
import { quotedPath } from '../../shell-word.ts'

/** `rootling forget NAME|FILE|SERIAL…`: forgets certificates whose file is gone. */
export async function forgetCommand(
  { positionals, all = false }: ArgumentsOf<typeof forgetSpec>,
  context: Context,
): Promise<ExitCode> {
  if (positionals.length === 0 && !all)
    throw new RootlingError('usage', 'Choose what to forget: names, files or --all.', {
      hint: 'For every certificate whose file is gone: rootling forget --all',
    })
  const cwd = positionals.length === 0 ? '' : context.cwd
  const request = { words: positionals, cwd, all }
  const forgotten = await forget(context.state, request, context.now())
  const { output } = context
  output.result(
    forgotten.flatMap((record) =>
      output.prose(
        `Forgot ${describeHolder(record)}: ${quotedPath(record.certPath ?? '')} is gone.`,
      ),
    ),
    { forgotten: forgotten.map(describeRecord) },
  )
  if (forgotten.length === 0) output.note('No certificate’s file is gone.')
  return exitCodes.ok
}
