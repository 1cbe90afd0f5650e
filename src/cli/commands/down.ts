import { takeDown } from '../../project/down.ts'
import type { ArgumentsOf, ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
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
  const { directory, steps } = await takeDown(trustWorld(args, context), {
    ...storeOptionsOf(args),
    dryRun: false,
    cwd,
    planOnly,
    files: args.files === true,
    onStep: ({ code, subject }) => void output.live(`${code}: ${subject}…`),
  })
  output.result(stepTable(steps, output), { project: directory, planOnly, steps })
  if (!planOnly)
    output.note('The authority stays. To take it out of the trust stores: rootling uninstall')
  return projectExitCode(steps)
}
