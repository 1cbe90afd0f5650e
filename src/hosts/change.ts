import { dirname } from 'node:path'
import { createMachine, type Machine } from '../../platform/machine.ts'
import { findPerson } from '../../platform/person.ts'
import { isReadOnly } from '../../platform/read-only.ts'
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
import { readHostsIfThere, type Environment } from './hosts-file.ts'
import {
  canChange,
  conflictError,
  distinct,
  editIn,
  othersLines,
  placesOf,
  type HostsEdit,
  type HostsPlan,
  type HostsRequest,
  type Place,
} from './plan.ts'
import { quotedPath, shellWord } from '../shell-word.ts'

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

/** What was changed for an owner: the lines that got or lost it. */
export interface HostsChange extends Pick<HostsPlan, 'file' | 'shared'> {
  readonly added: readonly HostsEntry[]
  readonly removed: readonly HostsEntry[]
}

/**
 * Makes the hosts file have the wanted lines, and writes nothing when it has them. The file is read
 * again under a lock that all users of the machine share. Throws `hosts-conflict` when other lines
 * contradict, and `hosts-failed` when the file cannot be changed; it is then as it was.
 */
export async function applyHosts(request: HostsRequest, access: HostsAccess): Promise<HostsChange> {
  const { places } = await placesOf(request)
  const needed: Place[] = []
  for (const place of places) {
    const { add, remove, conflicts } = await editIn(place, request)
    if (conflicts.length > 0) throw conflictError({ conflicts }, request)
    if (add.length + remove.length > 0) needed.push(place)
  }
  const changes: HostsEdit[] = []
  for (const place of needed)
    changes.push(
      await changeFile(place, request.env, access, async (write) => {
        const edit = await editIn(place, request)
        if (edit.conflicts.length > 0) throw conflictError(edit, request)
        await write(edit.text, edit.edited)
        return edit
      }),
    )
  return {
    file: places[0]?.file ?? '',
    added: distinct(changes.flatMap(({ add }) => add)),
    removed: distinct(changes.flatMap(({ remove }) => remove)),
    shared: distinct(changes.flatMap(({ shared }) => shared)),
  }
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
  /** The hosts file; default: this machine's, and in WSL also that of the Windows around. */
  readonly file?: string | undefined
  /** Finds the hosts file of the Windows around; default: as WSL mounts it. */
  readonly findWindows?: HostsRequest['findWindows']
}

export interface HostsRemoval {
  readonly file: string
  /** The lines that are taken out, or that lose this owner. */
  readonly remove: readonly OwnLine[]
  /** The lines among them that stay, since others own them too; `owners`: those others. */
  readonly shared: readonly OwnLine[]
  /** The lines within Rootling's that somebody else wrote or changed; they stay. */
  readonly changed: readonly string[]
  /** Whether the change needs rights that this process does not have. */
  readonly privileged: boolean
}

/** Returns what `removeHosts` would take out. Throws `hosts-failed`. */
export async function planRemoval(request: RemovalRequest): Promise<HostsRemoval> {
  const { places } = await placesOf(request)
  const removals: HostsRemoval[] = []
  for (const place of places) removals.push(await removalOf(place, request))
  return together(removals)
}

/** Returns what several files lose as one removal. */
const together = (removals: readonly HostsRemoval[]): HostsRemoval => ({
  file: removals[0]?.file ?? '',
  remove: distinct(removals.flatMap(({ remove }) => remove)),
  shared: distinct(removals.flatMap(({ shared }) => shared)),
  changed: [...new Set(removals.flatMap(({ changed }) => changed))],
  privileged: removals.some(({ privileged }) => privileged),
})

/**
 * Takes lines out of the hosts file, and the whole block with the last of them: the file is then
 * octet for octet what it was before. Lines of others stay, and lines that somebody changed. Throws
 * `hosts-failed`.
 */
export async function removeHosts(
  request: RemovalRequest,
  access: HostsAccess,
): Promise<HostsRemoval> {
  const { places } = await placesOf(request)
  const removals: HostsRemoval[] = []
  for (const place of places) {
    const first = await removalOf(place, request)
    removals.push(
      first.remove.length === 0
        ? first
        : await changeFile(place, request.env, access, async (write) => {
            const removal = await removalOf(place, request)
            await write(removal.text, removal.edited)
            return removal
          }),
    )
  }
  return together(removals)
}

async function removalOf({ file, windows }: Place, { env, names, project }: RemovalRequest) {
  const { name: user } = await findPerson(env)
  const isOwner = (owner: Owner): boolean =>
    owner.user === user && (project === undefined || owner.project === project)
  const text = readHostsIfThere(file)
  const hosts = parseHosts(text)
  const remove = ownLines(hosts).filter(
    (line) => (names === null || names.includes(line.name)) && line.owners.some(isOwner),
  )
  const edited = removeEntries(hosts, remove, isOwner)
  const privileged = remove.length > 0 && (windows !== null || !(await canChange(file)))
  const shared = othersLines(remove, isOwner)
  return { file, remove, shared, changed: foreignLines(hosts), privileged, text, edited }
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
export async function listHosts(env: Environment): Promise<HostsList> {
  const { places } = await placesOf({ env })
  const { name: user } = await findPerson(env)
  const texts = places.map(({ file }) => parseHosts(readHostsIfThere(file)))
  return {
    file: places[0]?.file ?? '',
    user,
    lines: distinct(texts.flatMap(ownLines)),
    changed: [...new Set(texts.flatMap(foreignLines))],
  }
}

type Write = (text: string, edited: HostsText) => Promise<void>

/** Runs `work`, which reads the file again and writes it, while no other rootling changes it. */
async function changeFile<T>(
  place: Place,
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
  const change = (): Promise<T> =>
    work(async (text, edited) => {
      const contents = renderHosts(edited)
      if (contents === text) return
      await write(machine, place, { contents, old: text }, access.command)
      await flushCache(machine)
    })
  // Another system cannot lock a directory of Windows, which compares the contents instead.
  return place.windows === null ? machine.alone(dirname(place.file), change) : change()
}

async function write(
  machine: Machine,
  { file, windows }: Place,
  text: { readonly contents: string; readonly old: string },
  command: string,
): Promise<void> {
  const contents = Buffer.from(text.contents, 'latin1')
  const old = Buffer.from(text.old, 'latin1')
  try {
    if (windows === null) await rewriteFile(machine, file, contents)
    else await windows.write(machine, contents, old)
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const fault = windows === null ? unwritableHosts(file, error, command) : null
    if (fault !== null) throw fault
    const sentence = error.message.startsWith('Changing')
      ? error.message
      : `${quotedPath(file)} was not changed: ${error.message}`
    const hint =
      windows !== null || process.getuid === undefined
        ? `Answer Yes to the dialog of Windows, or in a terminal opened as administrator: ${command}`
        : process.getuid() !== 0
          ? `As root, or in a terminal where sudo can ask: ${command}`
          : error.hint
    throw new RootlingError('hosts-failed', sentence, { hint, cause: error })
  }
}

/** Returns the error for a file that not even root can write; `null`: it is not such a file. */
function unwritableHosts(file: string, cause: RootlingError, command: string) {
  const wrong = (why: string, hint: string): RootlingError =>
    new RootlingError('hosts-failed', `${quotedPath(file)} was not changed: ${why}.`, {
      hint,
      cause,
    })
  if (isReadOnly(file) || cause.message.includes('Read-only file system'))
    return wrong(
      'Read-only file system',
      `Change it where it is mounted from, or mount it writable (sudo mount -o remount,rw "$(findmnt -n -o TARGET -T ${shellWord(file)})"), then: ${command}`,
    )
  // Root meets this where chattr protects the file.
  if (process.getuid?.() === 0 && cause.message.includes('Operation not permitted'))
    return wrong(
      'Operation not permitted, as for a file that chattr made immutable',
      `sudo chattr -i ${shellWord(file)}, then: ${command}`,
    )
  return null
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
