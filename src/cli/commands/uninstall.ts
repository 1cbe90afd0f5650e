import type { TrustAnchor } from '../../../platform/trust-store.ts'
import { deleteAuthority } from '../../authority/create.ts'
import { readScopes, readScopesInRotation } from '../../authority/scope.ts'
import { exists } from '../../files/exists.ts'
import { findInstalledAnchors, uninstallAnchors, type StoreOutcome } from '../../trust/stores.ts'
import { insist } from '../ask.ts'
import type { ArgumentsOf, ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { caDeleteSpec } from '../specs/ca.ts'
import type { uninstallSpec } from '../specs/stores.ts'
import {
  anchorOf,
  changeExitCode,
  equipStores,
  mayAsk,
  openStores,
  outcomeTable,
  printPlan,
  withStoresLock,
  type StoreArguments,
  type Stores,
} from '../trusting.ts'

/**
 * `rootling uninstall`: takes our roots out of every store. Without a state directory it goes by
 * the name that our roots have in the stores.
 */
export async function uninstall(
  args: ArgumentsOf<typeof uninstallSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output } = context
  const scopes = [...(await readScopes(state)), ...(await readScopesInRotation(state))]
  const found = await openStores(args, context, scopes)
  const ours = scopes.map(anchorOf)
  const others = (await findInstalledAnchors(found.stores)).filter(
    ({ fingerprint }) => !ours.some((anchor) => anchor.fingerprint === fingerprint),
  )
  const takeOthers = args.all === true || scopes.length === 0
  const anchors = takeOthers ? [...ours, ...others] : ours
  if (!takeOthers && others.length > 0)
    output.note(
      `Left alone, of other authorities: ${others.map(({ name }) => name).join(', ')}. To remove them too: rootling uninstall --all`,
    )
  if (anchors.length === 0) output.note('No root of Rootling is in the trust stores.')
  const deleting = args['delete-ca'] === true && (await exists(state.path))
  const ask = mayAsk(args, context)
  if (ask && (deleting || (takeOthers && others.length > 0))) await askFirst(anchors, deleting)
  const outcomes = await removeAnchors(anchors, found, args, context)
  if (outcomes === null) return changeExitCode([])
  const code = changeExitCode(outcomes)
  const deleted = deleting && code === 0
  if (deleted) await deleteAuthority(state)
  if (deleted) output.note(`Deleted the certificate authority and its record in ${state.path}.`)
  else if (deleting)
    output.note('The certificate authority was kept, since a store still holds its root.')
  output.result(outcomeTable(outcomes, output), { deleted, stores: outcomes })
  return code
}

/** `rootling ca delete`: another name for `uninstall --delete-ca`. */
export async function caDelete(
  args: ArgumentsOf<typeof caDeleteSpec>,
  context: Context,
): Promise<ExitCode> {
  return uninstall({ ...args, 'delete-ca': true }, context)
}

async function askFirst(anchors: readonly TrustAnchor[], deleting: boolean): Promise<void> {
  const names = anchors.map(({ name }) => name).join(', ')
  const what = [
    names === '' ? '' : `remove ${names} from the trust stores`,
    deleting ? 'delete the CA and its keys' : '',
  ]
  const question = `This will ${what.filter(Boolean).join(' and ')}. Go on?`
  await insist(question)
}

/** Takes anchors out of every store; `null`: a dry run, whose plan was printed. */
export async function removeAnchors(
  anchors: readonly TrustAnchor[],
  found: Stores,
  args: StoreArguments,
  context: Context,
): Promise<StoreOutcome[] | null> {
  if (found.machine.dryRun) {
    const outcomes = await uninstallAnchors(found.stores, anchors, { dryRun: true })
    printPlan(found.machine, context.output, outcomes)
    return null
  }
  if (anchors.length === 0) return []
  const remove = async (): Promise<StoreOutcome[]> =>
    uninstallAnchors(await equipStores(found, args, context), anchors)
  // Without a state directory there is nothing to lock, and none is made for it.
  if (!(await exists(context.state.path))) return remove()
  return withStoresLock(context, remove)
}
