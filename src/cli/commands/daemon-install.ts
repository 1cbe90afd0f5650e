import { installDaemon, uninstallDaemon } from '../../daemon/service/install.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { daemonStatusSpec } from '../specs/servers.ts'
import { launchOptions } from './daemon.ts'

/**
 * `rootling daemon install`: has the system's service manager start the daemon now and at each
 * login.
 */
export async function daemonInstall(
  _args: ArgumentsOf<typeof daemonStatusSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const { path, enabled, running, toEnable } = await installDaemon(
    launchOptions(context),
    (problem) => output.warn(problem),
  )
  if (!enabled) output.note(`To start it: ${toEnable}`)
  else if (!running) output.warn('The daemon does not answer yet; rootling daemon logs says why.')
  output.result([path], { path, enabled, running })
  return running ? exitCodes.ok : exitCodes.failed
}

/**
 * `rootling daemon uninstall`: stops the daemon and no longer starts it at login. Succeeds when it
 * was not installed.
 */
export async function daemonUninstall(
  _args: ArgumentsOf<typeof daemonStatusSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const { path, removed, problem } = await uninstallDaemon(launchOptions(context))
  if (problem !== null) output.warn(problem)
  if (removed) output.note('The daemon was stopped and no longer starts at login.')
  else if (problem === null) output.note('The daemon was not installed.')
  output.result([], { path, removed })
  return removed || problem === null ? exitCodes.ok : exitCodes.failed
}
