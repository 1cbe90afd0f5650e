import { dirname, join } from 'node:path'
import { RootlingError } from '../errors.ts'
import { existsSync } from '../files/exists.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import type { TrustWorld } from '../trust/world.ts'
import { projectFile } from './find.ts'
import {
  forgetProject,
  readGoneRecords,
  readProjectRecord,
  readProjectRecords,
  unionOf,
  withProjectsLock,
  writeProjectRecord,
  type Done,
  type ProjectRecord,
} from './record.ts'
import type { Step } from './step.ts'
import { undo, type DownOptions, type Taking, type Undoing } from './undo.ts'

export interface Taken {
  /** The directory of the project. */
  readonly directory: string
  readonly steps: readonly Step[]
  /** Whether anything was remembered of the project. */
  readonly recorded: boolean
}

/**
 * Takes back what `up` did for the project that the directory is in, as far as that is unchanged and
 * no other project needs it. The authority stays, and what the file says does not count. Throws
 * `bad-project` where there is no project.
 */
export async function takeDown(world: TrustWorld, options: DownOptions): Promise<Taken> {
  const record = await recordFor(world, options.cwd)
  if (typeof record === 'string') return { directory: record, steps: [], recorded: false }
  return takeDownRecord(world, options, record)
}

/** Does what `takeDown` does for each project whose directory is gone: deleted or moved. */
export async function takeDownGone(world: TrustWorld, options: DownOptions): Promise<Taken[]> {
  const taken: Taken[] = []
  for (const record of await readGoneRecords(world.state))
    taken.push(await takeDownRecord(world, options, record))
  return taken
}

async function takeDownRecord(
  world: TrustWorld,
  options: DownOptions,
  record: ProjectRecord,
): Promise<Taken> {
  const { state } = world
  const work = async (): Promise<Step[]> => {
    const others = (await readProjectRecords(state)).filter(
      ({ project }) => project !== record.project,
    )
    const taking: Taking = { ...options, world, record, others }
    const steps: Step[] = []
    const left: Done[] = []
    for (const done of record.done.toReversed()) {
      const { step, heir } = await takeBack(done, taking)
      steps.push(step)
      if (heir !== undefined && options.planOnly !== true) await handOver(state, heir, done)
      else if (step.outcome === 'failed' || step.outcome === 'kept') left.unshift(done)
    }
    if (options.planOnly !== true)
      await (left.length === 0
        ? forgetProject(state, record.project)
        : writeProjectRecord(state, { ...record, approved: [], done: left, uses: [] }))
    return steps
  }
  const steps = options.planOnly === true ? await work() : await withProjectsLock(state, work)
  return { directory: record.project, steps, recorded: true }
}

/** Lets another project take something back from now on. */
async function handOver(state: StateDirectory, { project }: ProjectRecord, done: Done) {
  const heir = await readProjectRecord(state, project)
  if (heir !== null) await writeProjectRecord(state, { ...heir, done: unionOf(heir.done, [done]) })
}

/**
 * Finds what is remembered of the project in a directory or the nearest one above it. Returns the
 * directory of a project of which nothing is remembered.
 */
async function recordFor({ state }: TrustWorld, cwd: string): Promise<ProjectRecord | string> {
  for (let directory = cwd; ; directory = dirname(directory)) {
    const record = await readProjectRecord(state, directory)
    if (record !== null) return record
    if (existsSync(join(directory, projectFile))) return directory
    if (directory === dirname(directory)) break
  }
  const gone = await readGoneRecords(state)
  const more =
    gone.length === 0 ? '' : ', or for projects whose directories are gone: rootling down --gone'
  throw new RootlingError('bad-project', `rootling up did nothing for the project in ${cwd}.`, {
    hint: `Change to the directory of its rootling.json${more}`,
  })
}

async function takeBack(
  done: Done,
  taking: Taking,
): Promise<{ readonly step: Step; readonly heir?: ProjectRecord | undefined }> {
  const bare = { privileged: false } as const
  let step: Undoing['step'] | null = null
  try {
    const undoing = await undo(done, taking)
    step = undoing.step
    if (undoing.apply === null)
      return {
        step: { ...bare, ...step, outcome: undoing.outcome ?? 'unchanged' },
        heir: undoing.heir,
      }
    if (taking.planOnly === true) return { step: { ...bare, ...step, outcome: 'would-change' } }
    taking.onStep?.({ ...bare, ...step, outcome: 'would-change' })
    await undoing.apply()
    return { step: { ...bare, ...step, outcome: 'changed' } }
  } catch (error) {
    if (error instanceof RootlingError && error.code === 'cancelled') throw error
    const detail = error instanceof Error ? error.message : String(error)
    const hint =
      error instanceof RootlingError && error.hint !== undefined ? { hint: error.hint } : {}
    const about = step ?? { code: done.kind, subject: subjectOf(done) }
    return { step: { ...bare, ...about, outcome: 'failed', detail, ...hint } }
  }
}

function subjectOf(done: Done): string {
  switch (done.kind) {
    case 'certificate':
      return done.cert
    case 'permit':
      return done.names.join(', ')
    case 'trust':
      return done.fingerprint
    case 'ignore':
      return '.gitignore'
    case 'hosts':
      return 'the hosts file'
    case 'env':
      return done.file
    case 'proxy':
      return 'the routes of the proxy'
  }
}
