import { removeDaemon, type RemovedDaemon } from '../../daemon/service/install.ts'
import { uninstallAuthority } from '../../trust/uninstall.ts'
import { RootlingError } from '../../errors.ts'
import { toDelete } from '../../shell-commands.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { uninstallHosts } from '../hosts-file.ts'
import type { caDeleteSpec } from '../specs/ca.ts'
import type { uninstallSpec } from '../specs/stores.ts'
import { launchOptions } from './daemon.ts'
import type { Output } from '../output.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import {
  changeExitCode,
  holdersOf,
  noteLeft,
  outcomeTable,
  printPlan,
  warnOfHolders,
} from '../store-outcomes.ts'
import { trustWorld } from '../trust-world.ts'

/** `rootling uninstall`: removes the authority's roots from every store. */
export async function uninstall(
  args: ArgumentsOf<typeof uninstallSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output } = context
  if (args.force === true && args['delete-ca'] !== true)
    throw new RootlingError('usage', '--force goes with --delete-ca.', {
      hint: 'rootling uninstall --delete-ca --force',
    })
  const services: RemovedDaemon[] = []
  const removal = await uninstallAuthority(trustWorld(args, context), storeOptionsOf(args), {
    others: args.all,
    deleteAuthority: args['delete-ca'],
    force: args.force,
    // A daemon would write its log into a directory that is left.
    beforeDeletion: async (each) => {
      services.push(await removeDaemon({ ...launchOptions(context), state: each }))
    },
  })
  const hosts = await uninstallHosts(args, context)
  const planned = removal.plannedCommands?.concat(hosts.planned) ?? null
  if (printPlan({ ...removal, plannedCommands: planned }, output)) return exitCodes.ok
  const { authority, outcomes, left, bundles, issued, named, scopes } = removal
  for (const { pid, path, removed, problem } of services) {
    if (pid !== null) output.note(`The daemon (pid ${pid}) was stopped.`)
    if (removed) output.note(`Deleted its service ${output.path(path)}.`)
    if (problem !== null) output.warn(problem)
  }
  if (authority === 'deleted')
    output.note(`Deleted the certificate authority and its record in ${output.path(state.path)}.`)
  if (authority === 'kept')
    output.note(
      `The certificate authority was kept, since ${holdersOf(outcomes)}. To delete it all the same: rootling uninstall --delete-ca --force`,
    )
  if (authority === 'deleted') warnOfHolders(outcomes, output)
  noteLeft(left, output)
  noteLeft(
    bundles,
    output,
    'Left, with the system’s roots alone, since shells and programs may still be told to read them:',
  )
  noteRemoval(bundles, output)
  noteLeft(issued, output, 'Left, of certificates that it issued and that nobody trusts any more:')
  const authorities = named.map(({ state: { authority: name = '', path }, deleted: gone }) => ({
    name,
    path,
    deleted: gone,
    command: output.hint(`rootling ca delete --ca ${name}`),
  }))
  for (const { name, path, command } of authorities.filter((each) => !each.deleted))
    output.warn(
      `The authority ${name} in ${output.path(path)} was left, and its roots may still be trusted. To delete it: ${command}`,
    )
  const deleted = authority === 'deleted'
  output.result(outcomeTable(outcomes, output, scopes), {
    deleted,
    stores: outcomes,
    left,
    bundles,
    issued,
    daemons: services,
    authorities,
    hosts: { file: hosts.file, removed: hosts.removed, shared: hosts.shared },
  })
  return hosts.failed ? exitCodes.someStoresFailed : changeExitCode(outcomes)
}

/** Says how the files go that variables may still name, which a deletion leaves. */
function noteRemoval(bundles: readonly string[], output: Output): void {
  if (bundles.length === 0) return
  output.note(
    'A shell that was told to read them forgets that with: eval "$(rootling env --unset)"',
  )
  output.note('When no shell and no program reads them any more, delete them:')
  for (const path of bundles) output.note(`  ${toDelete(path)}`)
  output.note('Then this deletes their directory too: rootling uninstall --delete-ca')
}

/** `rootling ca delete`: another name for `uninstall --delete-ca`. */
export async function caDelete(
  args: ArgumentsOf<typeof caDeleteSpec>,
  context: Context,
): Promise<ExitCode> {
  return uninstall({ ...args, 'delete-ca': true }, context)
}
