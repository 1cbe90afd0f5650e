import { isTrusted } from '../../authority/scope.ts'
import { RootlingError } from '../../errors.ts'
import { planRotation } from '../../trust/decide-rotation.ts'
import { placeholderName } from '../../trust/machine-stores.ts'
import { rotate, type RotationResult } from '../../trust/rotate.ts'
import type { RotationPlan } from '../../trust/rotation-plan.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeScope } from '../../authority/describe-scope.ts'
import { describeRecord } from '../../certificates/describe-record.ts'
import { hooksSucceeded } from '../renewals.ts'
import { describePlan, effectLines, oldElsewhere, planLines } from '../rotation-text.ts'
import type { caRotateSpec } from '../specs/ca.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import { commandLines, outcomeTable } from '../store-outcomes.ts'
import { trustWorld } from '../trust-world.ts'

/**
 * `rootling ca rotate`: replaces a scope's root and intermediate. Running it again continues a
 * rotation that was interrupted.
 */
export async function caRotate(
  args: ArgumentsOf<typeof caRotateSpec>,
  context: Context,
): Promise<ExitCode> {
  const [name = 'local', ...more] = args.positionals
  if (more.length > 0)
    throw new RootlingError('usage', 'rootling ca rotate takes one scope at a time.', {
      hint: `rootling ca rotate ${name}`,
    })
  const harden = wantsHardened(args)
  const [world, options] = [trustWorld(args, context), storeOptionsOf(args)]
  if (args['dry-run'] === true)
    return reportPlan(await planRotation(world, options, { name, harden }), context)
  return reportRotation(await rotate(world, options, name, harden), context)
}

/** Prints what a rotation would do. */
export function reportPlan(plan: RotationPlan, { state, output }: Context): ExitCode {
  const { commands, outcomes } = plan
  const shown =
    commands.length === 0
      ? []
      : ['Commands for the trust stores:', ...commands.flatMap(commandLines)]
  if (commands.length > 0 && plan.next.fingerprint === null)
    output.note(`In the commands, NEW and ${placeholderName} stand for the names of the new root.`)
  const prose = planLines(plan).flatMap((line) => output.prose(output.hint(output.paths(line))))
  output.result([...prose, ...shown], {
    dryRun: true,
    commands,
    stores: outcomes,
    plan: describePlan(plan, state),
  })
  return exitCodes.ok
}

/** Prints how far a rotation came, and returns the exit code. */
export function reportRotation(rotated: RotationResult, context: Context): ExitCode {
  const { output } = context
  const { old, next, stoppedAt, outcomes, renewals, hooks, effects } = rotated
  if (stoppedAt !== null) return explainStop(stoppedAt, rotated, context)
  output.result(outcomeTable(outcomes, output, [old, next]), {
    scope: describeScope(next),
    finished: true,
    renewed: renewals.flatMap(({ record }) =>
      record === undefined ? [] : [describeRecord(record)],
    ),
    stores: outcomes,
    ...effects,
  })
  const count = renewals.filter(({ outcome }) => outcome === 'renewed').length
  output.note(`Rotated the scope ${next.name}; ${count} certificates were renewed.`)
  if (!isTrusted(next))
    output.note(
      `Have the programs that know its root read the new one: ${output.path(next.rootPath)}`,
    )
  if (effects !== null) for (const line of effectLines(effects)) output.note(output.paths(line))
  output.note(oldElsewhere(next))
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
  { old, next, outcomes, effects }: RotationResult,
  { output }: Context,
): ExitCode {
  const { why, code } = stops[step]
  output.result(outcomeTable(outcomes, output, [old, next]), {
    finished: false,
    stores: outcomes,
    ...effects,
  })
  if (effects !== null) for (const line of effectLines(effects)) output.note(output.paths(line))
  output.note(`${why}, so the old root stays trusted too. Fix that and run the command again.`)
  return code
}
