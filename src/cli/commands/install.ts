import { RootlingError } from '../../errors.ts'
import { installAuthority } from '../../trust/install.ts'
import type { ArgumentsOf, ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { reportInstallation } from '../installation.ts'
import type { installSpec } from '../specs/stores.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import { trustWorld } from '../trust-world.ts'

/** `rootling install`: creates the authority when there is none, and trusts every scope's root. */
export async function install(
  args: ArgumentsOf<typeof installSpec>,
  context: Context,
): Promise<ExitCode> {
  const { permit = [], name, unconstrained = false, force, harden = false } = args
  const permits = permit.length > 0 || unconstrained
  if (!permits && (name ?? force) !== undefined)
    throw new RootlingError('usage', '--name and --force go with --permit.', {
      hint: 'rootling install --permit dev.example.com --name work',
    })
  const request = permits ? { permit, name, unconstrained, force: force === true } : null
  const options = storeOptionsOf(args, { none: true })
  const world = trustWorld(args, context)
  const installation = await installAuthority(world, options, request, { harden })
  return reportInstallation(installation, context.output)
}
