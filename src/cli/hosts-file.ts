import { isGone } from '../files/exists.ts'
import { hostsFile } from '../hosts/hosts-file.ts'
import { notShared, staying } from '../hosts/shared-lines.ts'
import { unresolvedNames } from '../hosts/unresolved.ts'
import { RootlingError } from '../errors.ts'
import type { HostsEntry, OwnLine } from '../hosts/block.ts'
import type { HostsAccess, HostsRemoval } from '../hosts/change.ts'
import { quotedPath, shellWord } from '../shell-word.ts'
import type { Context } from './context.ts'
import type { Output } from './output.ts'
import type { StoreArguments } from './store-arguments.ts'

/** Tells in one note which names this machine does not find, and the command that adds them. */
export function noteUnresolved(
  names: readonly string[],
  env: Context['env'],
  output: Output,
): void {
  const file = hostsFile(env)
  const missing = unresolvedNames(names, file)
  if (missing.length === 0) return
  const [are, them] = missing.length === 1 ? ['is', 'it'] : ['are', 'them']
  const isLocal = missing.every((name) => name.endsWith('.local'))
  const who = isLocal ? 'another machine answers by mDNS' : `a DNS server of yours knows ${them}`
  output.note(
    `${missing.join(' and ')} ${are} not in ${file}, so this machine finds ${them} only if ${who}. To add ${them}: rootling hosts add ${missing.map((name) => shellWord(name)).join(' ')}`,
  )
}

/**
 * Returns how a command may change the hosts file; `command` is its own line. With `--yes`, sudo asks
 * for no password.
 */
export const hostsAccess = (
  { interactive, output }: Context,
  args: Pick<StoreArguments, 'yes' | 'no-sudo'>,
  command: string,
): HostsAccess => ({
  interactive: interactive && args.yes !== true,
  sudo: args['no-sudo'] === true ? 'forbidden' : 'allowed',
  command,
  onPrompt: (sentence) => output.note(`To write to this machine’s hosts file, ${sentence}`),
  onWait: (what, seconds) => void output.live(`Waiting for ${what} (${seconds} s)…`),
})

/** Tells what a removal left, and what it would do. `names`: those that were asked for. */
export function reportRemoval(
  { file, remove, shared, changed }: HostsRemoval,
  names: readonly string[] | null,
  dryRun: boolean,
  output: Output,
): void {
  const missing = (names ?? []).filter((name) => !remove.some((line) => line.name === name))
  if (missing.length > 0) output.note(`Rootling has no line of yours for ${missing.join(' and ')}.`)
  if (names === null && remove.length === 0)
    output.note(`Rootling has no line of yours in ${quotedPath(file)}.`)
  for (const line of shared) output.note(`${staying(line)}.`)
  const others = new Set(shared.flatMap(({ owners }) => owners.map(({ project }) => project)))
  const projects = remove
    .flatMap(({ owners }) => owners.flatMap(({ project }) => project ?? []))
    .filter((project) => !others.has(project) && !isGone(project))
  if (projects.length > 0)
    output.note(
      `Some were of a project, which adds them again by its next up: ${[...new Set(projects)].join(', ')}`,
    )
  if (changed.length > 0)
    output.note(`Left in ${file}, since somebody changed them: ${changed.join('; ')}`)
  if (!dryRun && remove.length > 0) output.note(`Changed ${quotedPath(file)}.`)
  if (dryRun && remove.length > shared.length)
    output.note(`These lines of ${quotedPath(file)} would go.`)
}

interface UninstalledHosts {
  readonly file: string
  readonly removed: readonly HostsEntry[]
  /** The lines that stay for the other owners that they have. */
  readonly shared: readonly OwnLine[]
  /** The command that a dry run would have run. */
  readonly planned: readonly string[]
  readonly failed: boolean
}

/**
 * Takes the person's lines out of the hosts file as a part of `uninstall`, unless that is about one
 * of several authorities or about some stores only. A failure is a warning.
 */
export async function uninstallHosts(
  args: StoreArguments,
  context: Context,
): Promise<UninstalledHosts> {
  const { env, state, output } = context
  const none = { file: hostsFile(env), removed: [], shared: [], planned: [], failed: false }
  if (args.stores !== undefined || state.authority !== undefined) return none
  const { planRemoval, removeHosts } = await import('../hosts/change.ts')
  const request = { env, names: null }
  const command = 'rootling hosts remove --all'
  const access = hostsAccess(context, args, command)
  try {
    const plan = await planRemoval(request)
    if (plan.remove.length === 0) return none
    if (args['dry-run'] === true) return { ...none, planned: [command] }
    const removal = await removeHosts(request, access)
    reportRemoval(removal, null, false, output)
    const { remove, shared } = removal
    return { ...none, removed: notShared(remove, shared), shared }
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    output.warn(`${error.message} Once it can be changed: ${command}`)
    return { ...none, failed: true }
  }
}
