import { windowsHostsPath } from '../../../platform/windows/hosts.ts'
import { RootlingError } from '../../errors.ts'
import { isMountPoint } from '../../files/mount-point.ts'
import { applyHosts, type HostsChange } from '../../hosts/change.ts'
import { loopback, parseHostAddress, parseHostName, publicNames } from '../../hosts/host-name.ts'
import { conflictError, planHosts } from '../../hosts/plan.ts'
import { notShared, presentAlready, staying } from '../../hosts/shared-lines.ts'
import { quotedPath, shellWord } from '../../shell-word.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { hostsAccess } from '../hosts-file.ts'
import { isSameEntry, type HostsEntry } from '../../hosts/block.ts'
import type { hostsAddSpec } from '../specs/hosts.ts'

type Arguments = ArgumentsOf<typeof hostsAddSpec>

/** `rootling hosts add NAME…`: adds the lines that names lack in the hosts file. */
export async function hostsAdd(args: Arguments, context: Context): Promise<ExitCode> {
  const { env, output } = context
  if (args.positionals.length === 0)
    throw new RootlingError('usage', 'Name the hosts to add.', {
      hint: 'Such as: rootling hosts add shop.test',
    })
  const names = args.positionals.map(parseHostName)
  const wanted = new Map(names.map((name) => [name, args.address ?? loopback]))
  const request = { env, wanted, project: null }
  const plan = await planHosts(request)
  if (plan.conflicts.length > 0) throw conflictError(plan, request)
  const dryRun = args['dry-run'] === true
  if (!dryRun && plan.add.length > 0) await agreeToPublic(names, args, context)
  const access = hostsAccess(context, args, commandOf(names, args))
  const change = dryRun
    ? { added: plan.add, removed: plan.remove, shared: plan.shared }
    : await applyHosts(request, access)
  const { shared } = change
  const [added, removed] = [notShared(change.added, shared), notShared(change.removed, shared)]
  const { file } = plan
  output.result(
    [
      ...removed.map(({ name, address }) => `- ${address} ${name}`),
      ...added.map(({ name, address }) => `+ ${address} ${name}`),
    ],
    { ...(dryRun ? { dryRun } : {}), file, added, removed, shared },
  )
  for (const line of shared) {
    const stays = change.removed.some((entry) => isSameEntry(entry, line))
    output.note(`${stays ? staying(line) : presentAlready(line)}.`)
  }
  const isSame = change.added.length + change.removed.length === 0
  if (isSame) output.note(`${file} has ${names.join(' and ')} already; nothing was written.`)
  else if (!dryRun)
    output.note(`Changed ${quotedPath(file)}. To undo it: ${undoing(change, wanted, args)}`)
  else if (added.length + removed.length > 0)
    output.note(`These lines of ${quotedPath(file)} would change.`)
  if (!isSame && isMountPoint(file))
    output.note(
      `${quotedPath(file)} is mounted by itself; what mounts it, such as Docker, may make it anew.`,
    )
  if (plan.unreached)
    output.note(
      `The Windows around this WSL is not mounted. Its browsers need in ${windowsHostsPath}: ${wanted.get(names[0] ?? '')?.[0]} ${names.join(' ')}`,
    )
  const local = names.filter((name) => name.endsWith('.local'))
  if (local.length > 0 && !isSame)
    output.note(
      `Names below .local belong to multicast DNS (RFC 6762), so a device of your network may have ${local.join(' or ')} too; names below .test have no such neighbour.`,
    )
  return exitCodes.ok
}

const words = (names: readonly string[]): string => names.map((name) => shellWord(name)).join(' ')

/**
 * Returns the commands that bring back what the hosts file had before a change: names that had
 * addresses get these again, and the others are removed.
 */
export function undoing(
  { added, removed }: Pick<HostsChange, 'added' | 'removed'>,
  wanted: ReadonlyMap<string, readonly string[]>,
  { force }: Pick<Arguments, 'force'>,
): string {
  const fresh: string[] = []
  const restoring: string[] = []
  for (const [name, addresses] of wanted) {
    const isOfName = (entry: HostsEntry): boolean => entry.name === name
    const ofName = added.filter(isOfName).map(({ address }) => address)
    const gone = removed.filter(isOfName).map(({ address }) => address)
    if (ofName.length + gone.length === 0) continue
    const kept = addresses.map(parseHostAddress).filter((each) => !ofName.includes(each))
    const address = [...new Set([...gone, ...kept])]
    if (address.length === 0) fresh.push(name)
    else restoring.push(commandOf([name], { positionals: [name], address, force }))
  }
  if (fresh.length > 0) restoring.push(`rootling hosts remove ${words(fresh)}`)
  return restoring.join('; ')
}

function commandOf(names: readonly string[], { address = [], force }: Arguments): string {
  const addresses = address.map((each) => ` --address ${shellWord(each)}`).join('')
  return `rootling hosts add ${words(names)}${addresses}${force === true ? ' --force' : ''}`
}

/**
 * Asks about names that are somebody's on the internet: malware maps them too. Throws `usage` where
 * nobody can be asked, and `cancelled`.
 */
async function agreeToPublic(
  names: readonly string[],
  args: Arguments,
  { interactive }: Context,
): Promise<void> {
  const others = publicNames(names)
  if (others.length === 0 || args.force === true || args.yes === true) return
  const are = others.length === 1 ? 'is a name' : 'are names'
  const sentence = `${others.join(' and ')} ${are} of the internet, and with such a line no program of this machine reaches its owner’s server.`
  if (!interactive)
    throw new RootlingError('usage', sentence, {
      hint: `If you mean that: ${commandOf(names, { ...args, force: true })}`,
    })
  if (!(await (await import('../ask.ts')).confirm([sentence, 'Add it all the same?'])))
    throw new RootlingError('cancelled', 'Cancelled; nothing was changed.')
}
