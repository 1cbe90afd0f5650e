import { createAnchor } from '../../../platform/pem.ts'
import { anchorPrefix, type TrustAnchor } from '../../../platform/trust-store.ts'
import { makeScope } from '../../authority/ceremony.ts'
import { checkPermit, ensureAuthority, permitScope } from '../../authority/create.ts'
import { readScopes, type Scope } from '../../authority/scope.ts'
import { RootlingError } from '../../errors.ts'
import { installAnchors, type StoreOutcome } from '../../trust/stores.ts'
import { localConstraints } from '../../x509/name-constraints.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { commonName, describeConstraints, describeScope } from '../describe.ts'
import type { installSpec } from '../specs/stores.ts'
import {
  anchorOf,
  changeExitCode,
  equipStores,
  openStores,
  outcomeTable,
  parseKinds,
  printPlan,
  withStoresLock,
  type StoreArguments,
} from '../trusting.ts'

/** `rootling install`: creates the authority when there is none, and trusts every scope's root. */
export async function install(
  args: ArgumentsOf<typeof installSpec>,
  context: Context,
): Promise<ExitCode> {
  const permit = args.permit ?? []
  const widened = permit.length > 0 || args.unconstrained === true
  if (!widened && (args.name ?? args.force) !== undefined)
    throw new RootlingError('usage', '--name and --force go with --permit.', {
      hint: 'rootling install --permit dev.example.com --name work',
    })
  parseKinds(args.stores)
  if (args['dry-run'] === true) return planInstall(args, context)
  const { state, output, now } = context
  const { name, unconstrained = false, force = false } = args
  const request = { permit, name, unconstrained, force }
  if (widened) checkPermit(request)
  const { created, scope } = await ensureAuthority(state, now())
  if (created)
    output.note(`Created the certificate authority ${commonName(scope)} in ${state.path}.`)
  if (widened) {
    const permitted = await permitScope(state, request, now())
    announceScope(permitted.scope, permitted.created, context)
  }
  return trustScopes(await readScopes(state), args, context, { created })
}

/** Says what a new scope may sign, with a plain warning when that is everything. */
export function announceScope(scope: Scope, created: boolean, { output }: Context): void {
  const verb = created ? 'Added' : 'Already there:'
  output.note(`${verb} the scope ${scope.name}, which may sign ${describeConstraints(scope)}.`)
  if (scope.constraints === null)
    output.warn(
      'Whoever steals the key of an unconstrained scope can impersonate any site, your bank included, to this machine.',
    )
}

/** Puts the roots of scopes into every store, and reports. */
export async function trustScopes(
  scopes: readonly Scope[],
  args: StoreArguments,
  context: Context,
  extra: Readonly<Record<string, unknown>>,
): Promise<ExitCode> {
  const { output } = context
  const found = await openStores(args, context, scopes)
  const outcomes = await withStoresLock(context, async () =>
    installAnchors(await equipStores(found, args, context), scopes.map(anchorOf)),
  )
  output.result(outcomeTable(outcomes, output), {
    ...extra,
    scopes: scopes.map(describeScope),
    stores: outcomes,
  })
  return summarize(outcomes, context)
}

function summarize(outcomes: readonly StoreOutcome[], { output }: Context): ExitCode {
  const good = outcomes.filter(
    ({ outcome }) => outcome === 'installed' || outcome === 'already-installed',
  )
  const failed = outcomes.filter(({ outcome }) => outcome === 'failed')
  if (failed.length > 0)
    output.note(
      `${failed.length} of ${good.length + failed.length} stores failed; the others trust the CA.`,
    )
  else if (good.length === 0) {
    output.note('There is no trust store to install the CA in, so nothing trusts it.')
    return exitCodes.notTrusted
  }
  if (outcomes.some(({ store, outcome }) => store.kind === 'nss' && outcome === 'installed'))
    output.note('A browser that is open may need a restart to trust hosts that it refused before.')
  return changeExitCode(outcomes)
}

async function planInstall(
  args: ArgumentsOf<typeof installSpec>,
  context: Context,
): Promise<ExitCode> {
  const scopes = await readScopes(context.state)
  const widened = (args.permit ?? []).length > 0 || args.unconstrained === true
  return plan(scopes, Number(scopes.length === 0) + Number(widened), args, context)
}

/** A dry run of installing the roots of scopes, and of others that it would have made first. */
export async function plan(
  scopes: readonly Scope[],
  added: number,
  args: StoreArguments,
  context: Context,
): Promise<ExitCode> {
  const placeholders: TrustAnchor[] = []
  for (let i = 0; i < added; i++) placeholders.push(await placeholderAnchor(context.now()))
  if (added > 0)
    context.output.note(
      `A new scope would be made first; NEW and ${anchorPrefix}XXXXXXXX stand for its names.`,
    )
  const found = await openStores(args, context, scopes, placeholders)
  const stores = await equipStores(found, { yes: true }, context)
  const anchors = [...scopes.map(anchorOf), ...placeholders]
  const outcomes = await installAnchors(stores, anchors, { dryRun: true })
  printPlan(found.machine, context.output, outcomes)
  return changeExitCode(outcomes)
}

/** Stands for a root that a dry run does not make. */
async function placeholderAnchor(now: Date): Promise<TrustAnchor> {
  const constraints = localConstraints
  const { root } = await makeScope({ name: 'local', permitted: [], constraints }, now)
  const der = Buffer.from(root.replace(/-----.*-----/g, ''), 'base64')
  return { ...createAnchor(der), name: `${anchorPrefix}XXXXXXXX` }
}
