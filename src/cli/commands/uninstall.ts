import { uninstallAuthority } from '../../trust/uninstall.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { caDeleteSpec } from '../specs/ca.ts'
import type { uninstallSpec } from '../specs/stores.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import { changeExitCode, outcomeTable, printPlan } from '../store-outcomes.ts'
import { trustWorld } from '../trust-world.ts'

/** `rootling uninstall`: removes the authority's roots from every store. */
export async function uninstall(
  args: ArgumentsOf<typeof uninstallSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output } = context
  const removal = await uninstallAuthority(trustWorld(args, context), storeOptionsOf(args), {
    others: args.all,
    deleteAuthority: args['delete-ca'],
  })
  if (printPlan(removal, output)) return exitCodes.ok
  const { authority, outcomes } = removal
  if (authority === 'deleted')
    output.note(`Deleted the certificate authority and its record in ${state.path}.`)
  if (authority === 'kept')
    output.note('The certificate authority was kept, since a store still holds its root.')
  const deleted = authority === 'deleted'
  output.result(outcomeTable(outcomes), { deleted, stores: outcomes })
  return changeExitCode(outcomes)
}

/** `rootling ca delete`: another name for `uninstall --delete-ca`. */
export async function caDelete(
  args: ArgumentsOf<typeof caDeleteSpec>,
  context: Context,
): Promise<ExitCode> {
  return uninstall({ ...args, 'delete-ca': true }, context)
}
