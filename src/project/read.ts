import { join } from 'node:path'
import { RootlingError, type Fault } from '../errors.ts'
import type { Owner } from '../files/owner.ts'
import { readText } from '../files/read.ts'
import type { KeyType } from '../x509/keys.ts'
import { checkText } from './check.ts'
import { projectFile, type Project } from './find.ts'
import { projectShape } from './shape.ts'
import { quotedPath } from '../shell-word.ts'

/** The file by which a person overrides rootling.json; Git ignores it. */
export const localFile = 'rootling.local.json'

/** In octets; a file of the most certificates that are allowed is far smaller. */
const longest = 1024 * 1024

export interface WantedCertificate {
  readonly names: readonly string[]
  /** Relative to the directory of rootling.json. */
  readonly cert: string
  readonly key: string
  readonly keyType?: KeyType
  readonly days?: number
  readonly onRenew?: string
}

export interface WantedRoot {
  readonly root: string
  /** SHA-256 in lower-case hex. */
  readonly fingerprint: string
  readonly names: readonly string[]
}

/** As in the file, in which the names may be left out. */
type WrittenRoot = Pick<WantedRoot, 'root' | 'fingerprint'> & Partial<WantedRoot>

/** What rootling.json and rootling.local.json together ask for; all of it is checked. */
export interface Wanted {
  readonly certificates: readonly WantedCertificate[]
  readonly permit: readonly string[]
  /** The address of each name, or several. */
  readonly hosts: ReadonlyMap<string, string | readonly string[]>
  readonly proxy: ReadonlyMap<string, string | number>
  readonly trust: readonly WantedRoot[]
  readonly env: { readonly file: string } | null
  /** Whether there is a rootling.local.json. */
  readonly hasLocal: boolean
}

type Members = Readonly<Record<string, unknown>>

/**
 * Reads rootling.json and, over it, rootling.local.json: its objects are merged member by member,
 * its lists and other values replace those of rootling.json, and `null` takes a member out. Throws
 * `bad-project` with all faults of both files, and `file-unreadable`. `owner` is the person for whom
 * root works.
 */
export async function readProject(
  { directory }: Pick<Project, 'directory'>,
  owner: Owner | null = null,
): Promise<Wanted> {
  const faults: Fault[] = []
  let isNewer = false
  const read = async (name: string, overrides: boolean): Promise<Members | null> => {
    const file = join(directory, name)
    const text = await readText(file, longest)
    if (text === null) return null
    const checked = checkText(text, projectShape, { file, directory, owner, overrides })
    faults.push(...checked.faults)
    isNewer ||= checked.isNewer
    return checked.value
  }
  const own = await read(projectFile, false)
  if (own === null)
    throw new RootlingError(
      'bad-project',
      `There is no ${projectFile} in ${quotedPath(directory)}.`,
      {
        hint: 'To write one: rootling init',
      },
    )
  const local = await read(localFile, true)
  if (faults.length > 0) throw invalid(faults, isNewer)
  return { ...wantedOf(merge(own, local ?? {})), hasLocal: local !== null }
}

function invalid(faults: readonly Fault[], isNewer: boolean): RootlingError {
  const count = faults.length === 1 ? 'a fault' : `${faults.length} faults`
  const files = new Set(faults.map(({ file }) => file))
  return new RootlingError(
    'bad-project',
    `${[...files].join(' and ')} ${files.size === 1 ? 'has' : 'have'} ${count}, so nothing was changed.`,
    { faults, hint: isNewer ? undefined : 'What is allowed: rootling schema' },
  )
}

function merge(own: Members, local: Members): Members {
  const merged: Record<string, unknown> = { ...own }
  for (const [name, value] of Object.entries(local))
    merged[name] = isObject(value) && isObject(own[name]) ? { ...own[name], ...value } : value
  return merged
}

const isObject = (value: unknown): value is Members =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Gives checked values their types. */
function wantedOf(members: Members): Omit<Wanted, 'hasLocal'> {
  const list = (name: string): readonly unknown[] => (members[name] as unknown[] | null) ?? []
  const map = (name: string): [string, unknown][] =>
    Object.entries((members[name] as Members | null) ?? {})
      .filter(([, value]) => value !== null)
      .map(([key, value]) => [key.toLowerCase(), value])
  const plain = (path: string): string => path.replace(/^\.\//, '')
  return {
    certificates: (list('certificates') as readonly WantedCertificate[]).map((each) => ({
      ...each,
      cert: plain(each.cert),
      key: plain(each.key),
    })),
    permit: list('permit') as readonly string[],
    hosts: new Map(map('hosts') as [string, string | readonly string[]][]),
    proxy: new Map(map('proxy') as [string, string | number][]),
    trust: (list('trust') as readonly WrittenRoot[]).map(({ root, fingerprint, names = [] }) => ({
      root: plain(root),
      fingerprint: fingerprint.replaceAll(':', '').toLowerCase(),
      names,
    })),
    env: isObject(members['env']) ? { file: plain(String(members['env']['file'])) } : null,
  }
}
