import { forgetTrustedScope } from '../../trust/uninstall.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { meantScope } from '../nearest.ts'
import type { caForgetSpec } from '../specs/ca.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import { changeExitCode, noteLeft, outcomeTable, printPlan } from '../store-outcomes.ts'
import { trustWorld } from '../trust-world.ts'

/** `rootling ca forget SCOPE`: removes the scope's root from the stores, then deletes its files. */
export async function caForget(
  args: ArgumentsOf<typeof caForgetSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const [name = ''] = args.positionals
  const world = trustWorld(args, context)
  const forgotten = await forgetTrustedScope(world, storeOptionsOf(args), name, (names) =>
    meantScope(name, names),
  )
  if (forgotten.plannedCommands !== null)
    output.note(`The scope ${name} and its key would be deleted.`)
  if (printPlan(forgotten, output)) return exitCodes.ok
  const { deleted, outcomes, left } = forgotten
  output.note(
    deleted
      ? `Deleted the scope ${name}. No store here trusts what it signed; programs that were given its root still do, until they are given another.`
      : `The scope ${name} was kept, since a store still holds its root.`,
  )
  noteLeft(left, output)
  output.result(outcomeTable(outcomes, output), { deleted, scope: name, stores: outcomes, left })
  return changeExitCode(outcomes)
}
