import { userInfo } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { createMachine } from '../../../platform/machine.ts'
import { requireScopes } from '../../authority/scope.ts'
import { askDaemon } from '../../daemon/control-client.ts'
import { asTyped, installService, uninstallService } from '../../daemon/service/manager.ts'
import {
  launchdService,
  systemdService,
  windowsTask,
  type Service,
} from '../../daemon/service/units.ts'
import { stateDirectory } from '../../home/state-directory.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import type { daemonStatusSpec } from '../specs/servers.ts'
import { launchDaemon, nodeFlags, refuseSudo, stopDaemon } from './daemon.ts'

/** `rootling daemon install`: now and at each login, by the system's own service manager. */
export async function daemonInstall(
  _args: ArgumentsOf<typeof daemonStatusSpec>,
  context: Context,
): Promise<ExitCode> {
  const { env, output, state } = context
  refuseSudo(context)
  await requireScopes(state)
  const service = serviceOf(context)
  // Two cannot run: the one that was started by hand gives way to the manager's.
  const ran = await stopDaemon(state)
  let enabled = false
  try {
    const problem = await installService(service, await createMachine({ env }))
    enabled = problem === null
    if (problem !== null) output.warn(problem)
  } finally {
    if (ran && !enabled) await launchDaemon(context)
  }
  const running = enabled && (await answersSoon(state))
  if (!enabled) output.note(`To start it: ${asTyped(service)}`)
  else if (!running) output.warn('The daemon does not answer yet; rootling daemon logs says why.')
  if (process.platform === 'win32' && env['ROOTLING_HOME'])
    output.warn('A task sees only lasting variables: set ROOTLING_HOME with setx.')
  output.result(service.path, { path: service.path, enabled, running })
  return running ? exitCodes.ok : exitCodes.failed
}

/** Service managers say that it was started, not that it came up. */
async function answersSoon(state: Context['state']): Promise<boolean> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(100))
    if ((await askDaemon(state, 'status').catch(() => null)) !== null) return true
  return false
}

/** `rootling daemon uninstall`: stops it too; absent is success. */
export async function daemonUninstall(
  _args: ArgumentsOf<typeof daemonStatusSpec>,
  context: Context,
): Promise<ExitCode> {
  const { env, output, state } = context
  refuseSudo(context)
  const service = serviceOf(context)
  const { removed, problem } = await uninstallService(service, await createMachine({ env }))
  if (problem !== null) output.warn(problem)
  if (removed) await stopDaemon(state)
  if (removed) output.note('The daemon was stopped, and starts at login no more.')
  else if (problem === null) output.note('The daemon was not installed.')
  output.result('', { path: service.path, removed })
  return removed || problem === null ? exitCodes.ok : exitCodes.failed
}

function serviceOf({ env, state }: Context): Service {
  const script = process.argv[1] ?? ''
  const { authority } = state
  const named = authority === undefined ? [] : ['--ca', authority]
  const command = {
    program: process.execPath,
    args: [...nodeFlags, script, 'daemon', 'run', '--quiet', ...named],
    home: stateDirectory(env).path,
    authority,
  }
  switch (process.platform) {
    case 'darwin':
      return launchdService(command, userInfo().uid)
    case 'win32': {
      // `run` would hold a console window open.
      const args = [script, 'daemon', 'start', '--quiet', ...named]
      const user = `${env['USERDOMAIN'] ?? ''}\\${env['USERNAME'] ?? ''}`
      return windowsTask({ ...command, args }, user, state.path)
    }
    default:
      return systemdService(command, env['XDG_CONFIG_HOME'] || undefined)
  }
}
