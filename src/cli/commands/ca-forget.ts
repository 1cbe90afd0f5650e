import { forgetTrustedScope } from '../../trust/uninstall.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { meantScope } from '../nearest.ts'
import type { caForgetSpec } from '../specs/ca.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import {
  changeExitCode,
  holdersOf,
  noteLeft,
  outcomeTable,
  printPlan,
  warnOfHolders,
} from '../store-outcomes.ts'
import { trustWorld } from '../trust-world.ts'

/** `rootling ca forget SCOPE`: removes the scope's root from the stores, then deletes its files. */
export async function caForget(
  args: ArgumentsOf<typeof caForgetSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const [name = ''] = args.positionals
  const world = trustWorld(args, context)
  const hint = (names: readonly string[]): string => meantScope(name, names)
  const { force } = args
  const forgotten = await forgetTrustedScope(world, storeOptionsOf(args), name, hint, { force })
  if (forgotten.plannedCommands !== null)
    output.note(`The scope ${name} and its key would be deleted.`)
  if (printPlan(forgotten, output)) return exitCodes.ok
  const { deleted, outcomes, left, scopes } = forgotten
  const failed = holdersOf(outcomes)
  if (!deleted)
    output.note(
      `The scope ${name} was kept, since ${failed}. To delete it all the same: rootling ca forget ${name} --force`,
    )
  else if (failed !== null) output.note(`Deleted the scope ${name}.`)
  else
    output.note(
      `Deleted the scope ${name}. No store here trusts what it signed; programs that were given its root still do, until they are given another.`,
    )
  if (deleted) warnOfHolders(outcomes, output)
  noteLeft(left, output)
  output.result(outcomeTable(outcomes, output, scopes), {
    deleted,
    scope: name,
    stores: outcomes,
    left,
  })
  return changeExitCode(outcomes)
}
