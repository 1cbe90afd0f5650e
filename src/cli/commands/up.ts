import { nothingAllowed, parseAllowed } from '../../project/approval.ts'
import { bringUp } from '../../project/up.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { upSpec } from '../specs/project.ts'
import { approvalNeeded, dangerLines, projectExitCode, stepTable } from '../steps.ts'
import { storeOptionsOf } from '../store-arguments.ts'
import { proxyAccess } from '../proxy-access.ts'
import { trustWorld } from '../trust-world.ts'

/** `rootling up`: makes this machine what the nearest rootling.json says. */
export async function up(args: ArgumentsOf<typeof upSpec>, context: Context): Promise<ExitCode> {
  const { output, cwd, interactive } = context
  const { check = false, allow, yes = false } = args
  const planOnly = check || args['dry-run'] === true
  const { project, steps, unapproved, stopped } = await bringUp(trustWorld(args, context), {
    ...storeOptionsOf(args, { none: true }),
    dryRun: false,
    cwd,
    planOnly,
    proxy: proxyAccess(context),
    allowed: allow === undefined ? nothingAllowed : parseAllowed(allow),
    // --yes approves nothing that a stranger may have written.
    approve: async (dangers) => {
      if (!interactive || yes) return null
      const { confirm } = await import('../ask.ts')
      return confirm(['rootling.json asks to:', ...dangerLines(dangers), 'Agree to all of that?'])
    },
    onStep: ({ code, subject }) => void output.live(`${code}: ${subject}…`),
  })
  const approvals = unapproved.map(({ kind, text }) => ({ kind, text }))
  const value = { project: project.directory, planOnly, steps, approvals }
  if (unapproved.length > 0)
    for (const line of ['Needs approval:', ...dangerLines(unapproved)]) output.note(line)
  if (!stopped) {
    output.result(stepTable(steps, output), value)
    return projectExitCode(steps, check)
  }
  const error = approvalNeeded(unapproved, args)
  const { code, message, hint = null } = error
  if (output.json) output.result([], { ...value, ok: false, error: { code, message, hint } })
  else output.fail(error)
  return exitCodes.approvalNeeded
}
