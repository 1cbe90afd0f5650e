import { isTrusted } from '../../authority/scope.ts'
import { RootlingError } from '../../errors.ts'
import { rotate, type RotationResult } from '../../trust/rotate.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeRecord, describeScope } from '../describe.ts'
import { hooksSucceeded } from '../renewals.ts'
import type { caRotateSpec } from '../specs/ca.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import { outcomeTable } from '../store-outcomes.ts'
import { trustWorld } from '../trust-world.ts'

/**
 * `rootling ca rotate`: replaces a scope's root and intermediate. Running it again continues a
 * rotation that was interrupted.
 */
export async function caRotate(
  args: ArgumentsOf<typeof caRotateSpec>,
  context: Context,
): Promise<ExitCode> {
  if (args['dry-run'] === true)
    throw new RootlingError(
      'usage',
      'There is no dry run of a rotation, because it creates keys.',
      { hint: 'rootling ca list' },
    )
  const [name = 'local', ...more] = args.positionals
  if (more.length > 0)
    throw new RootlingError('usage', 'rootling ca rotate takes one scope at a time.', {
      hint: `rootling ca rotate ${name}`,
    })
  const harden = wantsHardened(args)
  const rotated = await rotate(trustWorld(args, context), storeOptionsOf(args), name, harden)
  return reportRotation(rotated, context)
}

/** Prints how far a rotation came, and returns the exit code. */
export function reportRotation(rotated: RotationResult, context: Context): ExitCode {
  const { output } = context
  const { old, next, stoppedAt, outcomes, renewals, hooks } = rotated
  if (stoppedAt !== null) return explainStop(stoppedAt, rotated, context)
  output.result(outcomeTable(outcomes, output, [old, next]), {
    scope: describeScope(next),
    finished: true,
    renewed: renewals.flatMap(({ record }) =>
      record === undefined ? [] : [describeRecord(record)],
    ),
    stores: outcomes,
  })
  const count = renewals.filter(({ outcome }) => outcome === 'renewed').length
  output.note(`Rotated the scope ${next.name}; ${count} certificates were renewed.`)
  if (!isTrusted(next))
    output.note(
      `Have the programs that know its root read the new one: ${output.path(next.rootPath)}`,
    )
  return hooksSucceeded(hooks) ? exitCodes.ok : exitCodes.failed
}

/** Whether the new scope shall be hardened; `undefined`: as the old one is. */
function wantsHardened(args: ArgumentsOf<typeof caRotateSpec>): boolean | undefined {
  const { harden, 'no-harden': not } = args
  if (harden === true && not === true)
    throw new RootlingError('usage', '--harden and --no-harden exclude each other.', {
      hint: 'rootling ca rotate --harden',
    })
  return harden === true ? true : not === true ? false : undefined
}

type Step = NonNullable<RotationResult['stoppedAt']>

const stops: Record<Step, { readonly why: string; readonly code: ExitCode }> = {
  install: {
    why: 'The new root is not trusted everywhere yet',
    code: exitCodes.someStoresFailed,
  },
  renew: { why: 'Some certificates still need the old root', code: exitCodes.failed },
  remove: {
    why: 'The old root could not be removed everywhere',
    code: exitCodes.someStoresFailed,
  },
}

function explainStop(
  step: Step,
  { old, next, outcomes }: RotationResult,
  { output }: Context,
): ExitCode {
  const { why, code } = stops[step]
  output.result(outcomeTable(outcomes, output, [old, next]), { finished: false, stores: outcomes })
  output.note(`${why}, so the old root stays trusted too. Fix that and run the command again.`)
  return code
}
