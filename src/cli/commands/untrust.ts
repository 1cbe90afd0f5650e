import { untrustRoot } from '../../trust/trusted-roots.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { untrustSpec } from '../specs/stores.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import { changeExitCode, outcomeTable, printPlan } from '../store-outcomes.ts'
import { trustWorld } from '../trust-world.ts'

/** `rootling untrust NAME|FINGERPRINT`: takes a teammate's root out of the stores. */
export async function untrust(
  args: ArgumentsOf<typeof untrustSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const [wanted = ''] = args.positionals
  const change = await untrustRoot(trustWorld(args, context), storeOptionsOf(args), wanted)
  if (printPlan(change, output)) return exitCodes.ok
  const { label, fingerprint, outcomes } = change
  output.result(outcomeTable(outcomes, output), { label, fingerprint, stores: outcomes })
  return changeExitCode(outcomes)
}
