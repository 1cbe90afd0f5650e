import { takeDown, takeDownGone, type Taken } from '../../project/down.ts'
import { readGoneRecords } from '../../project/record.ts'
import type { DownOptions } from '../../project/undo.ts'
import { quotedPath } from '../../shell-word.ts'
import type { ArgumentsOf, ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { Output } from '../output.ts'
import type { downSpec } from '../specs/project.ts'
import { projectExitCode, stepTable } from '../steps.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import { trustWorld } from '../trust-world.ts'

/** `rootling down`: takes back what `up` did for this project. */
export async function down(
  args: ArgumentsOf<typeof downSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output, cwd } = context
  const planOnly = args['dry-run'] === true
  const world = trustWorld(args, context)
  const options: DownOptions = {
    ...storeOptionsOf(args),
    dryRun: false,
    cwd,
    planOnly,
    files: args.files === true,
    onStep: ({ code, subject }) => void output.live(`${code}: ${subject}…`),
  }
  if (args.gone === true) return reportGone(await takeDownGone(world, options), planOnly, output)
  const { directory, steps, recorded } = await takeDown(world, options)
  output.result(stepTable(steps, output), { project: directory, planOnly, steps })
  if (!recorded) await noteUnrecorded(directory, context)
  else if (!planOnly)
    output.note('The authority stays. To take it out of the trust stores: rootling uninstall')
  return projectExitCode(steps)
}

function reportGone(taken: readonly Taken[], planOnly: boolean, output: Output): ExitCode {
  output.result(
    taken.flatMap(({ directory, steps }) => [[quotedPath(directory)], ...stepTable(steps, output)]),
    {
      planOnly,
      projects: taken.map(({ directory, steps }) => ({ project: directory, steps })),
    },
  )
  if (taken.length === 0) output.note('Of all projects that were set up, no directory is gone.')
  return projectExitCode(taken.flatMap(({ steps }) => steps))
}

/** Says that nothing is remembered of a project, and of which ones it is whose directories are gone. */
async function noteUnrecorded(directory: string, { state, output }: Context): Promise<void> {
  output.note(
    `Nothing was done for the project in ${quotedPath(directory)}, so nothing was taken back.`,
  )
  const gone = (await readGoneRecords(state)).map(({ project }) => quotedPath(project))
  if (gone.length > 0)
    output.note(
      `For projects whose directories are gone it was: ${gone.join(', ')}. To take that back, once a moved one was set up where it is now: rootling down --gone`,
    )
}
