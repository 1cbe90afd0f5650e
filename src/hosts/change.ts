import { dirname } from 'node:path'
import { createMachine, type Machine } from '../../platform/machine.ts'
import { findPerson } from '../../platform/person.ts'
import { rewriteFile } from '../../platform/rewrite-file.ts'
import { RootlingError } from '../errors.ts'
import {
  foreignLines,
  ownLines,
  parseHosts,
  removeEntries,
  renderHosts,
  type HostsEntry,
  type HostsText,
  type OwnLine,
  type Owner,
} from './block.ts'
import { hostsFile, readHosts, type Environment } from './hosts-file.ts'
import { canChange, conflictError, editFor, type HostsRequest } from './plan.ts'

/** How the change may be made, and who is told of what takes a while. */
export interface HostsAccess {
  /** Whether sudo may ask for a password on the terminal. */
  readonly interactive: boolean
  /** `forbidden`: a change that would need sudo is refused. */
  readonly sudo?: 'allowed' | 'forbidden' | undefined
  /** Called once before sudo may ask for the password. */
  readonly onPrompt?: ((sentence: string) => void) | undefined
  /** Called every second while a program runs, or another rootling holds the lock. */
  readonly onWait?: ((what: string, seconds: number) => void) | undefined
  /** The command that does the same with all rights, for the hint of an error. */
  readonly command: string
}

export interface HostsChange {
  readonly file: string
  readonly added: readonly HostsEntry[]
  readonly removed: readonly HostsEntry[]
}

/**
 * Makes the hosts file have the wanted lines, and writes nothing when it has them. The file is read
 * again under a lock that all users of the machine share. Throws `hosts-conflict` when other lines
 * contradict, and `hosts-failed` when the file cannot be changed; it is then as it was.
 */
export async function applyHosts(request: HostsRequest, access: HostsAccess): Promise<HostsChange> {
  const first = await editFor(request)
  if (first.conflicts.length > 0) throw conflictError(first)
  if (first.add.length + first.remove.length === 0)
    return { file: first.file, added: [], removed: [] }
  return changeFile(first.file, request.env, access, async (write) => {
    const plan = await editFor(request)
    if (plan.conflicts.length > 0) throw conflictError(plan)
    await write(plan.text, plan.edited)
    return { file: plan.file, added: plan.add, removed: plan.remove }
  })
}

export interface RemovalRequest {
  readonly env: Environment
  /** The names to remove; `null`: all. */
  readonly names: readonly string[] | null
  /**
   * The project that owns the lines; `null`: the person; absent: the person and all projects of
   * theirs.
   */
  readonly project?: string | null | undefined
  /** The hosts file; default: this machine's. */
  readonly file?: string | undefined
}

export interface HostsRemoval {
  readonly file: string
  /** The lines that are taken out, or that lose this owner. */
  readonly remove: readonly OwnLine[]
  /** Lines of the person's among these names that are not Rootling's any more: somebody changed them. */
  readonly changed: readonly string[]
  /** Whether the change needs rights that this process does not have. */
  readonly privileged: boolean
}

/** Returns what `removeHosts` would take out. Throws `hosts-failed`. */
export async function planRemoval(request: RemovalRequest): Promise<HostsRemoval> {
  const { edited: _, text: __, ...plan } = await removalOf(request)
  return plan
}

/**
 * Takes lines out of the hosts file, and the whole block with the last of them: the file is then
 * octet for octet what it was before. Lines of others stay, and lines that somebody changed. Throws
 * `hosts-failed`.
 */
export async function removeHosts(
  request: RemovalRequest,
  access: HostsAccess,
): Promise<HostsRemoval> {
  const first = await planRemoval(request)
  if (first.remove.length === 0) return first
  return changeFile(first.file, request.env, access, async (write) => {
    const { edited, text, ...plan } = await removalOf(request)
    await write(text, edited)
    return plan
  })
}

async function removalOf({ env, names, project, file = hostsFile(env) }: RemovalRequest) {
  const { name: user } = await findPerson(env)
  const isOwner = (owner: Owner): boolean =>
    owner.user === user && (project === undefined || owner.project === project)
  const text = readHosts(file)
  const hosts = parseHosts(text)
  const remove = ownLines(hosts).filter(
    (line) => (names === null || names.includes(line.name)) && line.owners.some(isOwner),
  )
  const edited = removeEntries(hosts, remove, isOwner)
  const privileged = remove.length > 0 && !(await canChange(file))
  return { file, remove, changed: foreignLines(hosts), privileged, text, edited }
}

export interface HostsList {
  readonly file: string
  /** The user name of the person who asks. */
  readonly user: string
  readonly lines: readonly OwnLine[]
  /** The lines within Rootling's that somebody else wrote or changed. */
  readonly changed: readonly string[]
}

/** Returns the lines that Rootling wrote for whomever. Throws `hosts-failed`. */
export async function listHosts(env: Environment, file = hostsFile(env)): Promise<HostsList> {
  const hosts = parseHosts(readHosts(file))
  const { name: user } = await findPerson(env)
  return { file, user, lines: ownLines(hosts), changed: foreignLines(hosts) }
}

type Write = (text: string, edited: HostsText) => Promise<void>

/** Runs `work`, which reads the file again and writes it, while no other rootling changes it. */
async function changeFile<T>(
  file: string,
  env: Environment,
  access: HostsAccess,
  work: (write: Write) => Promise<T>,
): Promise<T> {
  const { interactive, sudo = 'allowed', onPrompt, onWait } = access
  const machine = await createMachine({
    env,
    interactive,
    sudo,
    ...(onPrompt === undefined ? {} : { onPrompt }),
    ...(onWait === undefined ? {} : { onWait }),
  })
  return machine.alone(dirname(file), () =>
    work(async (text, edited) => {
      const contents = renderHosts(edited)
      if (contents === text) return
      await write(machine, file, contents, access.command)
      await flushCache(machine)
    }),
  )
}

async function write(machine: Machine, file: string, contents: string, command: string) {
  try {
    await rewriteFile(machine, file, Buffer.from(contents, 'latin1'))
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const sentence = error.message.startsWith('Changing')
      ? error.message
      : `${file} was not changed: ${error.message}`
    const hint =
      process.getuid === undefined
        ? `In a terminal that was opened as administrator: ${command}`
        : process.getuid() !== 0
          ? `As root, or in a terminal where sudo can ask: ${command}`
          : error.hint
    throw new RootlingError('hosts-failed', sentence, { hint, cause: error })
  }
}

/** Makes macOS read the file anew; other systems see the change by themselves. */
async function flushCache(machine: Machine): Promise<void> {
  if (process.platform !== 'darwin') return
  for (const [program, ...args] of [
    ['/usr/bin/dscacheutil', '-flushcache'],
    ['/usr/bin/killall', '-HUP', 'mDNSResponder'],
  ] as const)
    await machine.change(program, args, { as: 'root' }).catch(() => undefined)
}
