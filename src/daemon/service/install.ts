import { userInfo } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { createMachine } from '../../../platform/machine.ts'
import { requireScopes } from '../../authority/scope.ts'
import { homeDirectory, xdgDirectory } from '../../home/home-directory.ts'
import { readRunFile } from '../../home/run-file.ts'
import { defaultAuthority } from '../../home/state-directory.ts'
import {
  askStatus,
  launchDaemon,
  nodeFlags,
  refuseSudo,
  stopDaemon,
  type LaunchOptions,
} from '../launch.ts'
import {
  asTyped,
  installService,
  refuseForeign,
  uninstallService,
  type Problem,
} from './manager.ts'
import { launchdService, systemdService, windowsTask, type Service } from './units.ts'

export interface InstalledDaemon {
  /** The service's file. */
  readonly path: string
  /** Whether the service manager has taken it over. */
  readonly enabled: boolean
  /** Whether the daemon answers. */
  readonly running: boolean
  /** The commands to type to enable the service. */
  readonly toEnable: string
}

/**
 * Has the system's service manager run the daemon, now and at each login. A daemon that was started
 * by hand is stopped. When the manager fails, that daemon is started again, after a call of
 * `onProblem`. Throws `no-authority`, `usage` through sudo, and what `stopDaemon` and
 * `launchDaemon` throw.
 */
export async function installDaemon(
  options: LaunchOptions,
  onProblem: (sentence: string) => void,
): Promise<InstalledDaemon> {
  const { state, env } = options
  refuseSudo(state)
  await requireScopes(state)
  const service = serviceOf(options)
  await refuseForeign(service)
  // The daemon's lock allows only one daemon at a time.
  const ran = await stopDaemon(state)
  let enabled = false
  try {
    const problem = await installService(service, await createMachine({ env }))
    enabled = problem === null
    if (problem !== null) onProblem(problem)
  } finally {
    if (ran && !enabled) await launchDaemon(options)
  }
  const running = enabled && (await answersSoon(options))
  return { path: service.path, enabled, running, toEnable: asTyped(service) }
}

/**
 * Whether the daemon answers within ten seconds. A service manager says that it has started the
 * daemon, not that the daemon came up.
 */
async function answersSoon({ state }: LaunchOptions): Promise<boolean> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(100))
    if ((await askStatus(state).catch(() => null)) !== null) return true
  return false
}

export interface UninstalledDaemon {
  readonly path: string
  /**
   * `false` when the service was not installed, or when the manager keeps it and `problem` says
   * why.
   */
  readonly removed: boolean
  readonly problem: Problem
}

/**
 * Takes the daemon from the service manager and stops it. Succeeds also when it was not installed.
 */
export async function uninstallDaemon(options: LaunchOptions): Promise<UninstalledDaemon> {
  const { state, env } = options
  refuseSudo(state)
  const service = serviceOf(options)
  const { removed, problem } = await uninstallService(service, await createMachine({ env }))
  if (removed) await stopDaemon(state)
  return { path: service.path, removed, problem }
}

/** What `removeDaemon` did. */
export interface RemovedDaemon extends UninstalledDaemon {
  /** The process ID of the daemon that was stopped; `null`: none ran. */
  readonly pid: number | null
}

/**
 * Takes the daemon from the service manager and stops it, before its authority is deleted. Through
 * sudo, the user's own service manager cannot be reached, but the service's file is deleted.
 */
export async function removeDaemon(options: LaunchOptions): Promise<RemovedDaemon> {
  const { state, env } = options
  const pid = (await readRunFile(state))?.pid ?? null
  if (!hasHome(env))
    return { path: '', removed: false, problem: null, pid: (await stopDaemon(state)) ? pid : null }
  const service = serviceOf(options)
  const found = await uninstallService(service, await createMachine({ env }))
  const stopped = await stopDaemon(state)
  // The manager may have stopped it already.
  const ran = stopped || (found.removed && pid !== null)
  return { path: service.path, ...found, pid: ran ? pid : null }
}

/** Whether the user has a home directory; without one there is no place for a service's file. */
function hasHome(env: LaunchOptions['env']): boolean {
  try {
    homeDirectory(env)
    return true
  } catch {
    return false
  }
}

/** Describes the daemon as a service of this system. */
function serviceOf({ state, script, env }: LaunchOptions): Service {
  const { authority } = state
  const named = authority === undefined ? [] : ['--ca', authority]
  const command = {
    program: process.execPath,
    args: [...nodeFlags, script, 'daemon', 'run', '--quiet', ...named],
    home: defaultAuthority(state).path,
    authority,
  }
  switch (process.platform) {
    case 'darwin':
      return launchdService(command, userInfo().uid)
    case 'win32': {
      // With `run` a console window would stay open.
      const args = [script, 'daemon', 'start', '--quiet', ...named]
      const user = `${env['USERDOMAIN'] ?? ''}\\${env['USERNAME'] ?? ''}`
      return windowsTask({ ...command, args }, user, state.path)
    }
    default:
      return systemdService(command, xdgDirectory('XDG_CONFIG_HOME', env) ?? undefined)
  }
}
