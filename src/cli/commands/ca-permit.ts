import { permitNames } from '../../trust/install.ts'
import type { ArgumentsOf, ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { reportInstallation } from '../installation.ts'
import type { caPermitSpec } from '../specs/ca.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import { trustWorld } from '../trust-world.ts'

/**
 * `rootling ca permit NAME…`: adds a scope and installs its root; the other scopes stay as they
 * are.
 */
export async function caPermit(
  args: ArgumentsOf<typeof caPermitSpec>,
  context: Context,
): Promise<ExitCode> {
  const { positionals: permit, name, unconstrained = false, force = false } = args
  const request = { permit, name, unconstrained, force }
  const options = storeOptionsOf(args)
  const world = trustWorld(args, context)
  return reportInstallation(await permitNames(world, options, request), context.output)
}
