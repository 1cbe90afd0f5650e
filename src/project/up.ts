import { RootlingError } from '../errors.ts'
import type { StoreOptions } from '../trust/machine-stores.ts'
import type { TrustWorld } from '../trust/world.ts'
import { approvalOf, isAllowed, type Allowed } from './approval.ts'
import { findProject, projectFile, type Project } from './find.ts'
import { lookAtStores, planProject } from './plan.ts'
import { readProject } from './read.ts'
import {
  isSame,
  readProjectRecord,
  unionOf,
  withProjectsLock,
  writeProjectRecord,
} from './record.ts'
import type { Danger, PlannedStep, ProxyAccess, Step } from './step.ts'

export interface UpOptions extends StoreOptions {
  readonly cwd: string
  readonly allowed: Allowed
  /** Whether nothing is changed, only planned. */
  readonly planOnly?: boolean
  /** Asks the person to approve all of these; `null`: nobody can be asked. */
  readonly approve: (dangers: readonly Danger[]) => Promise<boolean | null>
  /** The hosts file; default: this machine's. */
  readonly hostsFile?: string | undefined
  /** What serves the routes of the file; absent: nothing is started. */
  readonly proxy?: ProxyAccess | undefined
  /** Called before each step that changes something. */
  readonly onStep?: (step: Step) => void
}

export interface Brought {
  readonly project: Project
  readonly steps: readonly Step[]
  /** What the person must approve, and has not yet. */
  readonly unapproved: readonly Danger[]
  /** Whether it ended before any step, since nobody could approve. */
  readonly stopped: boolean
}

/**
 * Makes this machine what the nearest rootling.json says, step by step; a step that fails stops no
 * other. Before the first one, what could hurt the person is approved: by an answer, by `allowed`, or
 * earlier for the same text. Throws `bad-project`, `cancelled`.
 */
export async function bringUp(world: TrustWorld, options: UpOptions): Promise<Brought> {
  const { cwd, allowed, planOnly = false, approve } = options
  const { state, env } = world
  const project = await findProject({ cwd, env, owner: state.owner })
  const wanted = await readProject(project, state.owner)
  const before = await readProjectRecord(state, project.directory)
  const planned = await planProject(world, options, project, { wanted, recorded: before })
  const pending = planned.filter(({ step }) => step.outcome === 'would-change')
  const dangers = pending.flatMap((each) => each.dangers)
  const isApproved = (danger: Danger): boolean =>
    isAllowed(danger, allowed) ||
    (danger.namedOnly !== true && before?.approved.includes(approvalOf(danger)) === true)
  const unapproved = dangers.filter((danger) => !isApproved(danger))
  const result = { project, steps: planned.map(({ step }) => step), unapproved, stopped: false }
  const uses = planned.flatMap((each) => each.uses)
  const isNew = uses.some((use) => before?.uses.some((each) => isSame(each, use)) !== true)
  if (planOnly || (pending.length === 0 && !isNew)) return result
  const unlimited = unapproved.find(({ namedOnly }) => namedOnly === true)
  const askable = unapproved.filter(({ namedOnly }) => namedOnly !== true)
  if (askable.length > 0) {
    const answer = unlimited === undefined ? await approve(askable) : null
    if (answer === null) return { ...result, stopped: true }
    if (!answer)
      throw new RootlingError('cancelled', 'Cancelled; nothing was changed.', {
        hint: `See ${project.directory}/${projectFile}`,
      })
  } else if (unlimited !== undefined) return { ...result, stopped: true }
  const steps = await withProjectsLock(state, async () => {
    // Read under the lock: another command may have recorded something just now.
    const recorded = await readProjectRecord(state, project.directory)
    await writeProjectRecord(state, {
      project: project.directory,
      approved: planned
        .flatMap((each) => each.dangers)
        .filter((danger) => dangers.includes(danger) || isApproved(danger))
        .map(approvalOf),
      done: unionOf(
        recorded?.done ?? [],
        pending.flatMap(({ done }) => done),
      ),
      uses,
    })
    const done = await applyAll(planned, options)
    // Asked once more now, so that the next run asks nobody.
    if (done.some(changesTrust)) await lookAtStores(world, options, project, wanted)
    return done
  })
  return { ...result, steps, unapproved: [] }
}

const changesTrust = ({ code, outcome }: Step): boolean =>
  outcome === 'changed' && ['authority', 'permit', 'trust'].includes(code)

async function applyAll(
  planned: readonly PlannedStep[],
  { onStep }: Pick<UpOptions, 'onStep'>,
): Promise<Step[]> {
  const steps: Step[] = []
  for (const each of planned) {
    if (each.step.outcome === 'would-change') onStep?.(each.step)
    steps.push(each.step.outcome === 'would-change' ? await applyOne(each) : each.step)
  }
  return steps
}

async function applyOne({ step, apply }: PlannedStep): Promise<Step> {
  const { detail: _planned, ...rest } = step
  try {
    const detail = await apply()
    const told = detail === undefined ? {} : { detail }
    return { ...rest, outcome: 'changed', ...told }
  } catch (error) {
    // Ctrl-C at a question is meant for all that follows.
    if (error instanceof RootlingError && error.code === 'cancelled') throw error
    const detail = error instanceof Error ? error.message : String(error)
    const hint = error instanceof RootlingError ? error.hint : undefined
    return { ...rest, outcome: 'failed', detail, ...(hint === undefined ? {} : { hint }) }
  }
}
