import { RootlingError } from '../../errors.ts'
import { beginRotation, finishRotation, renewRotated, switchRotation } from '../../trust/rotate.ts'
import { installAnchors, type StoreOutcome } from '../../trust/stores.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { commonName, describeRecord, describeScope } from '../describe.ts'
import type { caRotateSpec } from '../specs/ca.ts'
import { anchorOf, changeExitCode, openStores, outcomeTable, withStoresLock } from '../trusting.ts'
import { runHooks, warnOfPkcs12 } from './renew.ts'
import { removeAnchors } from './uninstall.ts'

/**
 * `rootling ca rotate`: the new root is trusted before the first certificate comes from it, and
 * the old one leaves when none is left. Interrupted anywhere, it can be run again.
 */
export async function caRotate(
  args: ArgumentsOf<typeof caRotateSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output, now } = context
  if (args['dry-run'] === true)
    throw new RootlingError('usage', 'A rotation cannot be tried: it makes keys.', {
      hint: 'rootling ca list',
    })
  const [name = 'local', ...more] = args.positionals
  if (more.length > 0)
    throw new RootlingError('usage', 'rootling ca rotate takes one scope at a time.', {
      hint: `rootling ca rotate ${name}`,
    })
  let rotation = await beginRotation(state, name, now())
  const { old, next } = rotation
  output.note(`Replacing ${commonName(old)} by ${commonName(next)}.`)
  const found = await openStores(args, context, [next])
  const installed = await withStoresLock(context, () =>
    installAnchors(found.stores, [anchorOf(next)]),
  )
  if (changeExitCode(installed) !== exitCodes.ok)
    return stop('The new root is not trusted everywhere yet', installed, context)
  if (!rotation.switched) rotation = await switchRotation(state, rotation)
  const renewals = await renewRotated(state, rotation, now())
  const failed = renewals.filter(({ outcome }) => outcome !== 'renewed')
  warnOfPkcs12(renewals, output)
  const hooksWell = await runHooks(renewals, context)
  for (const { previous, reason, hint } of failed)
    output.warn(`${previous.certPath} was not renewed: ${reason} ${hint ?? ''}`.trim())
  if (failed.some(({ outcome }) => outcome === 'failed'))
    return stop('Some certificates still need the old root', installed, context, exitCodes.failed)
  const removed = (await removeAnchors([anchorOf(old)], found, args, context)) ?? []
  if (changeExitCode(removed) !== exitCodes.ok)
    return stop('The old root could not be removed everywhere', removed, context)
  await finishRotation(state, rotation)
  const stores = [...installed, ...removed]
  output.result(outcomeTable(stores, output), {
    scope: describeScope(rotation.next),
    finished: true,
    renewed: renewals.flatMap(({ record }) =>
      record === undefined ? [] : [describeRecord(record)],
    ),
    stores,
  })
  output.note(
    `Rotated the scope ${name}; ${renewals.length - failed.length} certificates were renewed.`,
  )
  return hooksWell ? exitCodes.ok : exitCodes.failed
}

function stop(
  why: string,
  stores: readonly StoreOutcome[],
  { output }: Context,
  code: ExitCode = exitCodes.someStoresFailed,
): ExitCode {
  output.result(outcomeTable(stores, output), { finished: false, stores })
  output.note(`${why}, so the old root stays trusted too. Mend it and run the command again.`)
  return code
}
