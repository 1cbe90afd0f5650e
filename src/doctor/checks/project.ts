import { join } from 'node:path'
import { RootlingError } from '../../errors.ts'
import { findProjectIfAny, projectFile } from '../../project/find.ts'
import { finding, type Finding } from '../codes.ts'
import type { Checked, Known } from './check.ts'

/**
 * Finds what `rootling up --check` finds for the nearest rootling.json, without the trust stores,
 * which another check judges.
 */
export async function checkProject(known: Known): Promise<Checked> {
  try {
    const found = await compare(known)
    return {
      check: 'project',
      subjects: found === null ? [] : [found.file],
      findings: found?.findings ?? [],
    }
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const { message: sentence, hint: remedy = 'rootling up --check' } = error
    const findings = [finding('damaged-state', projectFile, { sentence, remedy })]
    return { check: 'project', subjects: [projectFile], findings }
  }
}

/**
 * Compares this machine with the project; `null`: there is none. Throws `bad-project` for a file that
 * `up` refuses.
 */
async function compare({
  world,
  cwd,
}: Known): Promise<{ readonly file: string; readonly findings: readonly Finding[] } | null> {
  const { state, env } = world
  const project = cwd === null ? null : findProjectIfAny({ cwd, env, owner: state.owner })
  if (project === null) return null
  const file = join(project.directory, projectFile)
  // Few directories have such a file, and only they need these modules.
  const { readProject } = await import('../../project/read.ts')
  const { planProject } = await import('../../project/plan.ts')
  const { readProjectRecord } = await import('../../project/record.ts')
  const wanted = await readProject(project, state.owner)
  const recorded = await readProjectRecord(state, project.directory)
  // An expired scope is told by a check, not by an event.
  const silent = { ...world, report: () => undefined }
  const options = { kinds: [], planOnly: true }
  const planned = await planProject(silent, options, project, { wanted, recorded })
  const steps = planned.flatMap(({ step: { code, subject, outcome } }) =>
    outcome === 'unchanged' ? [] : [`${code} ${subject}`],
  )
  return {
    file,
    findings: steps.length === 0 ? [] : [finding('project-drift', file, { file, steps })],
  }
}
