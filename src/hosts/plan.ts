import { open } from 'node:fs/promises'
import { createMachine } from '../../platform/machine.ts'
import { findPerson } from '../../platform/person.ts'
import { findWindowsHosts, type WindowsHosts } from '../../platform/windows/hosts.ts'
import { isWsl } from '../../platform/windows/wsl.ts'
import { RootlingError } from '../errors.ts'
import {
  addEntries,
  isSameEntry,
  isSameOwner,
  ownLines,
  parseHosts,
  removeEntries,
  withoutOwn,
  type HostsEntry,
  type HostsText,
  type OwnLine,
  type Owner,
} from './block.ts'
import { parseHostAddress, parseHostName } from './host-name.ts'
import { hostsFile, mappingsOf, readHosts, type Environment, type Mapping } from './hosts-file.ts'

export interface HostsRequest {
  readonly env: Environment
  /** The address of each name, or several. */
  readonly wanted: ReadonlyMap<string, string | readonly string[]>
  /**
   * The absolute directory of the project that owns the lines: what it does not want any more is
   * removed. `null`: the person owns them, and their other names stay.
   */
  readonly project: string | null
  /** The hosts file; default: this machine's, and in WSL also that of the Windows around. */
  readonly file?: string | undefined
  /** Finds the hosts file of the Windows around; default: as WSL mounts it. */
  readonly findWindows?: typeof findWindowsHosts | undefined
}

/** A name that another line already gives another address. */
interface HostsConflict extends HostsEntry {
  readonly file: string
  /** The line, with its number. */
  readonly found: string
}

export interface HostsPlan {
  readonly file: string
  readonly add: readonly HostsEntry[]
  readonly remove: readonly HostsEntry[]
  /**
   * The lines among `add` that are there already and among `remove` that stay, since another owner
   * has them; `owners`: those others.
   */
  readonly shared: readonly OwnLine[]
  readonly conflicts: readonly HostsConflict[]
  /** Whether the change needs rights that this process does not have. */
  readonly privileged: boolean
  /** Whether this is WSL and its Windows is not mounted, so that browsers there are not helped. */
  readonly unreached: boolean
}

/** A hosts file to change; `windows`: it is that of the Windows around, which writes it itself. */
export interface Place {
  readonly file: string
  readonly windows: WindowsHosts | null
}

/** What must change in one file, its text, and what that becomes. */
export interface HostsEdit extends Omit<HostsPlan, 'unreached'> {
  readonly text: string
  readonly edited: HostsText
}

/**
 * Returns what must change in the hosts file so that it has these lines; in WSL, what must change in
 * either of the two. Throws `bad-name`, `usage` for a wrong address, and `hosts-failed` for a file
 * that cannot be read.
 */
export async function planHosts(request: HostsRequest): Promise<HostsPlan> {
  const { places, unreached } = await placesOf(request)
  const edits: HostsEdit[] = []
  for (const place of places) edits.push(await editIn(place, request))
  return {
    file: places[0]?.file ?? '',
    add: distinct(edits.flatMap(({ add }) => add)),
    remove: distinct(edits.flatMap(({ remove }) => remove)),
    shared: distinct(edits.flatMap(({ shared }) => shared)),
    conflicts: edits.flatMap(({ conflicts }) => conflicts),
    privileged: edits.some(({ privileged }) => privileged),
    unreached,
  }
}

/** Returns the hosts files that a request is about. */
export async function placesOf({
  env,
  file,
  findWindows = findWindowsHosts,
}: Pick<HostsRequest, 'env' | 'file' | 'findWindows'>): Promise<{
  readonly places: readonly Place[]
  readonly unreached: boolean
}> {
  const own = { file: file ?? hostsFile(env), windows: null }
  const isDefault = file === undefined && process.platform === 'linux' && isWsl({ env })
  if (!isDefault && findWindows === findWindowsHosts) return { places: [own], unreached: false }
  const windows = await findWindows(await createMachine({ env }))
  if (typeof windows === 'string') return { places: [own], unreached: windows === 'unreached' }
  return { places: [own, { file: windows.file, windows }], unreached: false }
}

/** Returns each entry once. */
export const distinct = <T extends HostsEntry>(entries: readonly T[]): T[] =>
  entries.filter((entry, i) => entries.findIndex((each) => isSameEntry(each, entry)) === i)

/** Returns what must change in one of the files. */
export async function editIn({ file, windows }: Place, request: HostsRequest): Promise<HostsEdit> {
  const { env, project } = request
  const owner: Owner = { user: (await findPerson(env)).name, project }
  const wanted = parseWanted(request.wanted)
  const text = readHosts(file)
  const hosts = parseHosts(text, windows !== null || process.platform === 'win32' ? '\r\n' : '\n')
  const names = new Set(wanted.map(({ name }) => name))
  const isOwner = (each: Owner): boolean => isSameOwner(each, owner)
  const all = ownLines(hosts)
  const own = all.filter((line) => line.owners.some(isOwner))
  const remove = own
    .filter((line) => project !== null || names.has(line.name))
    .filter((line) => !wanted.some((each) => isSameEntry(each, line)))

  const foreign = withoutOwn(hosts)
  const mappings = mappingsOf(foreign, names)
  const conflicts = [
    ...mappings.flatMap((each) =>
      conflictOf(file, each, wanted, () => describeLine(foreign, each)),
    ),
    ...all.flatMap((line) => {
      const others = line.owners.filter((each) => !isOwner(each))
      const found = `a line of ${others.map((each) => describeOwner(each, owner)).join(' and ')}: ${line.address} ${line.name}`
      return others.length === 0 ? [] : conflictOf(file, line, wanted, () => found)
    }),
  ]
  // A name that a line of somebody else's maps already needs none of ours.
  const add = wanted.filter(
    (entry) =>
      !own.some((line) => isSameEntry(line, entry)) &&
      !mappings.some((mapping) => isSameEntry(mapping, entry)),
  )
  const shared = othersLines(
    all.filter((line) => [...add, ...remove].some((entry) => isSameEntry(entry, line))),
    isOwner,
  )
  const edited = addEntries(removeEntries(hosts, remove, isOwner), add, owner)
  const changes = add.length + remove.length > 0
  const privileged = changes && (windows !== null || !(await canChange(file)))
  return { file, add, remove: remove.map(entryOf), shared, conflicts, privileged, text, edited }
}

/** Returns the lines that others own too, with those owners alone. */
export const othersLines = (
  lines: readonly OwnLine[],
  isOwner: (owner: Owner) => boolean,
): OwnLine[] =>
  lines
    .map((line) => ({ ...line, owners: line.owners.filter((each) => !isOwner(each)) }))
    .filter(({ owners }) => owners.length > 0)

const entryOf = ({ name, address }: HostsEntry): HostsEntry => ({ name, address })

function parseWanted(wanted: HostsRequest['wanted']): HostsEntry[] {
  const entries = [...wanted].flatMap(([word, addresses]) => {
    const name = parseHostName(word)
    return [addresses].flat().map((address) => ({ name, address: parseHostAddress(address) }))
  })
  return distinct(entries)
}

/**
 * Returns the conflict of a line with what is wanted for its name. The two addresses of this machine
 * agree with each other: either leads to it.
 */
function conflictOf(
  file: string,
  line: HostsEntry,
  wanted: readonly HostsEntry[],
  found: () => string,
): HostsConflict[] {
  const asked = wanted.filter(({ name }) => name === line.name)
  const first = asked[0]
  if (first === undefined || asked.some((each) => isSameEntry(each, line))) return []
  if ([line, ...asked].every(({ address }) => /^(?:127\.0\.0\.1|::1)$/.test(address))) return []
  return [{ file, ...entryOf(first), found: found() }]
}

const describeLine = (text: string, { start, line }: Mapping): string =>
  `line ${text.slice(0, start).split('\n').length}: ${Buffer.from(line, 'latin1').toString()}`

/** Returns who an owner is, for a sentence that `self` reads. */
const describeOwner = ({ user, project }: Owner, self: Owner): string =>
  project ?? (user === self.user ? 'yours' : `the user ${user}`)

/** Whether this process may change the file by itself. */
export async function canChange(file: string): Promise<boolean> {
  if (process.getuid !== undefined) return process.getuid() === 0
  // Node does not know the access lists of Windows, so it is tried.
  const opened = await open(file, 'r+').catch(() => null)
  await opened?.close()
  return opened !== null
}

/** An error for the conflicts of what was asked for. */
export function conflictError(
  { conflicts }: Pick<HostsPlan, 'conflicts'>,
  { project }: Pick<HostsRequest, 'project'>,
): RootlingError {
  const where =
    project === null ? 'with --address' : 'under hosts in rootling.json or rootling.local.json'
  const [first] = conflicts
  const more = conflicts.length > 1 ? ` (and ${conflicts.length - 1} more)` : ''
  return new RootlingError(
    'hosts-conflict',
    `${first?.file} gives ${first?.name} another address than ${first?.address}, in ${first?.found}${more}.`,
    { hint: `Change that line by hand, or choose its address ${where}` },
  )
}
