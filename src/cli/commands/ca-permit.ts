import { checkPermit, ensureAuthority, permitScope } from '../../authority/create.ts'
import { readScopes } from '../../authority/scope.ts'
import type { ArgumentsOf, ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { caPermitSpec } from '../specs/ca.ts'
import { parseKinds } from '../trusting.ts'
import { announceScope, plan, trustScopes } from './install.ts'

/** `rootling ca permit NAME…`: adds a scope and trusts its root; the others stay as they are. */
export async function caPermit(
  args: ArgumentsOf<typeof caPermitSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, now } = context
  parseKinds(args.stores)
  const { positionals: permit, name, unconstrained = false, force = false } = args
  const request = { permit, name, unconstrained, force }
  checkPermit(request)
  if (args['dry-run'] === true) {
    const scopes = await readScopes(state)
    return plan(scopes, scopes.length === 0 ? 2 : 1, args, context)
  }
  await ensureAuthority(state, now())
  const { scope, created } = await permitScope(state, request, now())
  announceScope(scope, created, context)
  return trustScopes([scope], args, context, { created })
}
