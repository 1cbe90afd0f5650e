import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { parseBoundedJson } from '../bounded-json.ts'
import { RootlingError } from '../errors.ts'
import { sweepLeftovers, writeFileAtomic } from '../files/atomic.ts'
import { isGone } from '../files/exists.ts'
import { withLock } from '../files/lock.ts'
import { makePrivateDirectory } from '../files/private-directory.ts'
import { readText } from '../files/read.ts'
import { readdir, removeFile } from '../files/sync-fs.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { toDelete } from '../shell-commands.ts'
import { quotedPath } from '../shell-word.ts'

/** One thing that `up` did, which `down` takes back. Paths are relative to the project. */
export type Done =
  | { readonly kind: 'certificate'; readonly cert: string; readonly key: string }
  | { readonly kind: 'permit'; readonly names: readonly string[] }
  | { readonly kind: 'trust'; readonly fingerprint: string }
  | { readonly kind: 'ignore'; readonly lines: readonly string[] }
  | { readonly kind: 'hosts' }
  | { readonly kind: 'env'; readonly file: string }
  | { readonly kind: 'proxy' }

/** What is remembered of one project. */
export interface ProjectRecord {
  /** The absolute path of the directory of its rootling.json. */
  readonly project: string
  /** SHA-256 of each text that the person approved, in hex. */
  readonly approved: readonly string[]
  readonly done: readonly Done[]
  /** What it needs of what projects share, whoever did it. */
  readonly uses: readonly Done[]
}

const directoryOf = ({ path }: StateDirectory): string => join(path, 'projects')

const pathOf = (state: StateDirectory, project: string): string => {
  const hash = createHash('sha256').update(project).digest('hex').slice(0, 32)
  return join(directoryOf(state), `${hash}.json`)
}

/** Reads what is remembered of a project; `null`: nothing is. Throws `corrupt-state`. */
export async function readProjectRecord(
  state: StateDirectory,
  project: string,
): Promise<ProjectRecord | null> {
  const record = await readAt(pathOf(state, project))
  return record?.project === project ? record : null
}

/** Reads what is remembered of all projects. Throws `corrupt-state`. */
export async function readProjectRecords(state: StateDirectory): Promise<ProjectRecord[]> {
  const names = await readdir(directoryOf(state)).catch(() => [])
  const own = names.filter((name) => /^[0-9a-f]{32}\.json$/.test(name))
  const records = await Promise.all(own.map((name) => readAt(join(directoryOf(state), name))))
  return records.filter((record) => record !== null)
}

/** Returns what is remembered of projects whose directories are gone: deleted or moved. */
export const readGoneRecords = async (state: StateDirectory): Promise<ProjectRecord[]> =>
  (await readProjectRecords(state))
    .filter(({ project }) => isGone(project))
    .toSorted((a, b) => (a.project < b.project ? -1 : 1))

async function readAt(path: string): Promise<ProjectRecord | null> {
  const text = await readText(path)
  if (text === null) return null
  try {
    const record = parseBoundedJson(text) as ProjectRecord
    if (isSound(record)) return record
  } catch {
    // It is told below.
  }
  throw new RootlingError('corrupt-state', `${quotedPath(path)} is damaged.`, {
    hint: `It holds what was done for one project, of which nothing can be taken back without it: ${toDelete(path)}`,
  })
}

function isSound({ project, approved, done, uses }: ProjectRecord): boolean {
  const isTexts = (value: unknown): boolean =>
    Array.isArray(value) && value.every((each) => typeof each === 'string')
  const isDone = (each: Done): boolean => {
    switch (each.kind) {
      case 'certificate':
        return isTexts([each.cert, each.key])
      case 'permit':
        return isTexts(each.names)
      case 'trust':
        return /^[0-9a-f]{64}$/.test(each.fingerprint)
      case 'ignore':
        return isTexts(each.lines)
      case 'hosts':
      case 'proxy':
        return true
      case 'env':
        return isTexts([each.file])
      default:
        return false
    }
  }
  return typeof project === 'string' && isTexts(approved) && [...done, ...uses].every(isDone)
}

/**
 * Runs `work` while no other command changes what is remembered of projects. It waits as long as
 * another may ask for a password.
 */
export const withProjectsLock = <T>(state: StateDirectory, work: () => Promise<T>): Promise<T> =>
  withLock(state, work, { name: 'projects.lock', waitMilliseconds: 300_000 })

/** Replaces what is remembered of a project. Call it under the lock. */
export async function writeProjectRecord(
  state: StateDirectory,
  record: ProjectRecord,
): Promise<void> {
  await makePrivateDirectory(directoryOf(state), state.owner)
  await sweepLeftovers(directoryOf(state))
  const data = `${JSON.stringify(record)}\n`
  await writeFileAtomic(pathOf(state, record.project), { data, mode: 0o600 }, state.owner)
}

/** Forgets a project. Call it under the lock. */
export const forgetProject = (state: StateDirectory, project: string): Promise<void> =>
  removeFile(pathOf(state, project))

export const isSame = (a: Done, b: Done): boolean => JSON.stringify(a) === JSON.stringify(b)

/** Returns the entries of both lists, without repetitions. */
export function unionOf(before: readonly Done[], added: readonly Done[]): Done[] {
  return [...new Map([...before, ...added].map((done) => [JSON.stringify(done), done])).values()]
}
