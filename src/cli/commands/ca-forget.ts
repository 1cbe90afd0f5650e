import { forgetScope } from '../../authority/create.ts'
import { noScope, openScope, type Scope } from '../../authority/scope.ts'
import { RootlingError } from '../../errors.ts'
import { scopeNames } from '../../storage/files/scopes.ts'
import { insist } from '../ask.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { meantScope } from '../nearest.ts'
import type { caForgetSpec } from '../specs/ca.ts'
import { anchorOf, changeExitCode, mayAsk, openStores, outcomeTable } from '../trusting.ts'
import { removeAnchors } from './uninstall.ts'

/** `rootling ca forget SCOPE`: its root leaves the stores first, then its files are deleted. */
export async function caForget(
  args: ArgumentsOf<typeof caForgetSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output } = context
  const [name = ''] = args.positionals
  const names = await scopeNames(state)
  if (!names.includes(name)) throw noScope(name, meantScope(name, names))
  const ask = mayAsk(args, context)
  if (ask) await insist(`This will delete the scope ${name} and its key. Go on?`)
  const scope = await openIfSound(name, context)
  const found = await openStores(args, context, scope === null ? [] : [scope])
  const anchors = scope === null ? [] : [anchorOf(scope)]
  const outcomes = await removeAnchors(anchors, found, args, context)
  if (outcomes === null) return exitCodes.ok
  const code = changeExitCode(outcomes)
  const deleted = code === exitCodes.ok
  if (deleted) await forgetScope(state, name)
  output.note(
    deleted
      ? `Deleted the scope ${name}; the certificates that it signed are trusted no more.`
      : `The scope ${name} was kept, since a store still holds its root.`,
  )
  output.result(outcomeTable(outcomes, output), { deleted, scope: name, stores: outcomes })
  return code
}

/** `null`: its files are damaged, so its root cannot be recognized in the stores. */
async function openIfSound(name: string, { state, output }: Context): Promise<Scope | null> {
  try {
    return await openScope(state, name)
  } catch (error) {
    if (!(error instanceof RootlingError) || error.code !== 'corrupt-state') throw error
    output.warn(
      `${error.message} Its root may still be in the trust stores; to remove roots that no scope explains: rootling uninstall --all`,
    )
    return null
  }
}
