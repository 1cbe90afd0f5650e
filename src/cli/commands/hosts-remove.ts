import { RootlingError } from '../../errors.ts'
import { planRemoval, removeHosts } from '../../hosts/change.ts'
import { parseHostName } from '../../hosts/host-name.ts'
import { notShared } from '../../hosts/shared-lines.ts'
import { shellWord } from '../../shell-word.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { hostsAccess, reportRemoval } from '../hosts-file.ts'
import type { hostsRemoveSpec } from '../specs/hosts.ts'

/** `rootling hosts remove NAME…`: takes the person's lines out of the hosts file. */
export async function hostsRemove(
  args: ArgumentsOf<typeof hostsRemoveSpec>,
  context: Context,
): Promise<ExitCode> {
  const { positionals, all = false } = args
  if ((positionals.length === 0) !== all)
    throw new RootlingError('usage', 'Choose what to remove: names, or --all.', {
      hint: 'To see which names there are: rootling hosts list',
    })
  const { env, output } = context
  const names = all ? null : positionals.map(parseHostName)
  const request = { env, names }
  const words = names?.map((name) => shellWord(name)).join(' ') ?? '--all'
  const access = hostsAccess(context, args, `rootling hosts remove ${words}`)
  const dryRun = args['dry-run'] === true
  const removal = await (dryRun ? planRemoval(request) : removeHosts(request, access))
  const { file, remove, shared, changed } = removal
  const removed = notShared(remove, shared)
  output.result(
    removed.map(({ name, address }) => `- ${address} ${name}`),
    { ...(dryRun ? { dryRun } : {}), file, removed, shared, changed },
  )
  reportRemoval(removal, names, dryRun, output)
  return exitCodes.ok
}
