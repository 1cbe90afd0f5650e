import { RootlingError } from '../../errors.ts'
import { shellWord } from '../../shell-word.ts'
import { openScope } from '../../authority/scope.ts'
import { addPrivateScope, permitNames } from '../../trust/install.ts'
import { planRotation } from '../../trust/decide-rotation.ts'
import { addNames, requestToAdd } from '../../trust/rotate.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeScope } from '../../authority/describe-scope.ts'
import { reportInstallation } from '../installation.ts'
import type { caPermitSpec } from '../specs/ca.ts'
import { reportPlan, reportRotation } from './ca-rotate.ts'
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
  if (args.private !== undefined) return permitPrivate(args.private, args, context)
  if (args.add === true) return addToScope(args, context)
  const request = { permit, name, unconstrained, force }
  const options = storeOptionsOf(args, { none: true })
  const world = trustWorld(args, context)
  return reportInstallation(await permitNames(world, options, request), context.output)
}

/** Adds names to a scope that is there, by a rotation in one step. */
async function addToScope(
  args: ArgumentsOf<typeof caPermitSpec>,
  context: Context,
): Promise<ExitCode> {
  const { positionals: permit, name, force = false } = args
  const { state, output } = context
  if (name === undefined)
    throw new RootlingError('usage', '--add goes with the name of a scope that is there.', {
      hint: `rootling ca permit ${permit.join(' ')} --name SCOPE --add; the scopes: rootling ca list`,
    })
  if (args.unconstrained === true)
    throw new RootlingError(
      'usage',
      '--add makes new keys and permits names, so --unconstrained means nothing.',
      { hint: 'rootling ca permit --help' },
    )
  const dryRun = args['dry-run'] === true
  const request = { permit, name, force }
  const [world, options] = [trustWorld(args, context), storeOptionsOf(args)]
  if (dryRun) {
    const wanted = await requestToAdd(state, request)
    if (wanted !== null) return reportPlan(await planRotation(world, options, wanted), context)
  }
  const rotated = dryRun ? null : await addNames(world, options, request)
  if (rotated !== null) return reportRotation(rotated, context)
  const scope = await openScope(state, name)
  output.note(`The scope ${name} permits that already; there is nothing to do.`)
  const nothing = { scope: describeScope(scope), finished: true, renewed: [], stores: [] }
  output.result([], dryRun ? { dryRun, commands: [], stores: [], plan: null } : nothing)
  return exitCodes.ok
}

const meaningless = [
  'add',
  'name',
  'unconstrained',
  'force',
  'stores',
  'store-scope',
  'dry-run',
  'no-sudo',
] as const

/** Adds a scope whose root goes into no store, so the options of stores mean nothing. */
async function permitPrivate(
  scopeName: string,
  args: ArgumentsOf<typeof caPermitSpec>,
  context: Context,
): Promise<ExitCode> {
  const { positionals } = args
  const other = meaningless.find((option) => args[option] !== undefined)
  if (positionals.length > 0 || other !== undefined)
    throw new RootlingError(
      'usage',
      `--private makes a scope for any name in no store, so ${positionals[0] ?? `--${other}`} means nothing.`,
      { hint: `rootling ca permit --private ${shellWord(scopeName)}` },
    )
  const { scope, created } = await addPrivateScope(trustWorld(args, context), scopeName)
  context.output.result([scope.rootPath], { created, scopes: [describeScope(scope)], stores: [] })
  return exitCodes.ok
}
