import type { LaunchOptions } from '../../daemon/launch.ts'
import {
  installDaemon,
  installWithPorts,
  uninstallDaemon,
  type PortsAccess,
} from '../../daemon/service/install.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { daemonInstallSpec, daemonStatusSpec } from '../specs/servers.ts'
import { commandLines } from '../store-outcomes.ts'
import { launchOptions } from './daemon.ts'

/**
 * `rootling daemon install`: has the system's service manager start the daemon now and at each
 * login; with `--ports` also at each start of the machine, and with ports 443 and 80.
 */
export async function daemonInstall(
  args: ArgumentsOf<typeof daemonInstallSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const onProblem = (problem: string): void => output.warn(problem)
  const options = launchOptions(context)
  if (args.ports === true) return installPorts(args['dry-run'] === true, options, context)
  const { path, enabled, running, toEnable } = await installDaemon(options, onProblem)
  if (!enabled) output.note(`To start it: ${toEnable}`)
  else if (!running) output.warn(notYet)
  output.result([path], { path, enabled, running })
  return running ? exitCodes.ok : exitCodes.failed
}

const notYet = 'The daemon does not answer yet. To see why: rootling daemon logs'

async function installPorts(
  dryRun: boolean,
  options: LaunchOptions,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const access = { dryRun, ...portsAccess('rootling daemon install --ports', context) }
  const installed = await installWithPorts(options, access, (problem) => output.warn(problem))
  const { way, ports, path, enabled, running, toEnable, planned } = installed
  const shown = ports.join(' and ')
  if (dryRun) {
    output.note('These commands would be run:')
    output.result(planned.flatMap(commandLines), { dryRun: true, way, ports, commands: planned })
    return exitCodes.ok
  }
  if (way === 'plain') output.note(`On this machine the daemon may listen on ${shown} by itself.`)
  else
    output.note(`systemd listens on ${shown} of this machine alone, and hands them to the daemon.`)
  if (!enabled) output.note(`To start it: ${toEnable}`)
  else if (!running) output.warn(notYet)
  output.result([path], { path, enabled, running, way, ports })
  return running ? exitCodes.ok : exitCodes.failed
}

/** Shows each command that root runs, before it is run. */
const portsAccess = (command: string, { output, interactive }: Context): PortsAccess => ({
  onCommand: (line) => {
    for (const each of commandLines(line)) output.note(`  ${each}`)
  },
  onPrompt: (sentence) => output.note(`To change the system’s services, ${sentence}`),
  onWait: (what, seconds) => void output.live(`Waiting for ${what} (${seconds} s)…`),
  ...(interactive ? {} : { attendedCommand: command }),
})

/**
 * `rootling daemon uninstall`: stops the daemon and no longer starts it at login. Succeeds when it
 * was not installed.
 */
export async function daemonUninstall(
  _args: ArgumentsOf<typeof daemonStatusSpec>,
  context: Context,
): Promise<ExitCode> {
  const { output } = context
  const { path, removed, problem } = await uninstallDaemon(
    launchOptions(context),
    portsAccess('rootling daemon uninstall', context),
  )
  if (problem !== null) output.warn(problem)
  if (removed) output.note('The daemon was stopped and no longer starts at login.')
  else if (problem === null) output.note('The daemon was not installed.')
  output.result([], { path, removed })
  return removed || problem === null ? exitCodes.ok : exitCodes.failed
}
