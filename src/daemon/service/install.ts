import { userInfo } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { createMachine, type Machine, type MachineOptions } from '../../../platform/machine.ts'
import { requireScopes } from '../../authority/scope.ts'
import { RootlingError } from '../../errors.ts'
import { exists } from '../../files/exists.ts'
import { homeDirectory, xdgDirectory } from '../../home/home-directory.ts'
import { readRunFile } from '../../home/run-file.ts'
import { defaultAuthority } from '../../home/state-directory.ts'
import { nodeFlags } from '../garbage.ts'
import { askStatus, launchDaemon, refuseSudo, stopDaemon, type LaunchOptions } from '../launch.ts'
import {
  asTyped,
  installService,
  refuseForeign,
  uninstallService,
  type Problem,
} from './manager.ts'
import {
  findFreePorts,
  findPortsWay,
  hasIpv6,
  installUnits,
  portsServicePath,
  isFor,
  isUnitActive,
  readInstalledPorts,
  refuseForeignUnits,
  removeUnits,
  takenSentence,
  type PortsWay,
} from './ports.ts'
import { portsUnits, type PortSocket } from './ports-units.ts'
import type { PortHolder } from './port-holders.ts'
import {
  launchdService,
  systemdService,
  windowsTask,
  type Service,
  type ServiceCommand,
} from './units.ts'

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
 * `onProblem`. Throws `no-authority`, `usage` through sudo or where `installWithPorts` was called before,
 * and what `stopDaemon` and `launchDaemon` throw.
 */
export async function installDaemon(
  options: LaunchOptions,
  onProblem: (sentence: string) => void,
): Promise<InstalledDaemon> {
  const { state, env } = options
  refuseSudo(state)
  await requireScopes(state)
  await refuseBesidePorts(options)
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

/** How root's part of `installWithPorts` is done. */
export type PortsAccess = Pick<
  MachineOptions,
  'dryRun' | 'onCommand' | 'onPrompt' | 'onWait' | 'attendedCommand'
>

/** What `installWithPorts` did, or would do. */
export interface InstalledWithPorts extends InstalledDaemon {
  readonly way: PortsWay
  readonly ports: readonly number[]
  /** The commands that a dry run would have run. */
  readonly planned: readonly string[]
}

/**
 * Does what `installDaemon` does, and has the daemon serve ports 443 and 80, where that needs root
 * by units of the system's systemd. These replace the user's service, since there is one daemon. A
 * port that another program has is left out, after a call of `onProblem`. Throws `port-in-use` for
 * 443, and what `findPortsWay`, `refuseForeignUnits` and `installUnits` throw; the daemon is then as
 * it was.
 */
export async function installWithPorts(
  options: LaunchOptions,
  access: PortsAccess,
  onProblem: (sentence: string) => void,
): Promise<InstalledWithPorts> {
  const { state, env } = options
  refuseSudo(state)
  await requireScopes(state)
  const way = (await isWithPorts(options)) ? 'units' : await findPortsWay()
  if (way === 'units') await refuseForeignUnits(state)
  const machine = await createMachine({ env, ...access })
  const pid = (await readRunFile(state))?.pid
  const isOurs = async (socket: PortSocket, holders: readonly PortHolder[]): Promise<boolean> =>
    (pid !== undefined && holders.every(({ pids }) => pids.includes(pid))) ||
    (way === 'units' && (await isUnitActive(machine, socket)))
  const { free, taken } = await findFreePorts(isOurs)
  for (const each of taken) {
    if (each.port === 443)
      throw new RootlingError('port-in-use', takenSentence(each), {
        hint: 'End that program, then: rootling daemon install --ports',
      })
    onProblem(`${takenSentence(each)} So port ${each.port} is left out.`)
  }
  const ports = free.map(({ port }) => port)
  if (way === 'plain') {
    const service = serviceOf(options)
    const { path } = service
    const toEnable = asTyped(service)
    if (machine.dryRun)
      return {
        way,
        ports,
        path,
        enabled: false,
        running: false,
        toEnable,
        planned: ['rootling daemon install'],
      }
    return { way, ports, planned: [], ...(await installDaemon(options, onProblem)) }
  }
  const uid = process.getuid?.() ?? 0
  const units = portsUnits({ command: commandOf(options), uid, sockets: free, ipv6: hasIpv6() })
  const replaced = serviceOf(options)
  await refuseForeign(replaced)
  const wasService = await exists(replaced.path)
  let ran = false
  try {
    await installUnits(units, machine, async () => {
      if (machine.dryRun) {
        if (wasService) await planRemoval(replaced, machine)
        return
      }
      if (wasService) await uninstallService(replaced, machine)
      ran = await stopDaemon(state)
    })
  } catch (error) {
    if (wasService && !(await exists(replaced.path))) await installService(replaced, machine)
    else if (ran) await launchDaemon(options)
    throw error
  }
  const running = !machine.dryRun && (await answersSoon(options))
  return {
    way,
    ports,
    path: portsServicePath,
    enabled: !machine.dryRun,
    running,
    toEnable: '',
    planned: machine.planned,
  }
}

/** Has a dry run write down how a service would be taken from its manager. */
async function planRemoval({ path, disable }: Service, machine: Machine): Promise<void> {
  for (const [name = '', ...args] of disable)
    await machine.change((await machine.find(name)) ?? name, args, { as: 'person' })
  await machine.removeFile(path, 'person')
}

/** Whether the system's service manager runs this daemon, with its ports. */
async function isWithPorts({ state }: LaunchOptions): Promise<boolean> {
  if (process.platform !== 'linux') return false
  const installed = await readInstalledPorts()
  return installed !== null && isFor(installed, state)
}

/** Throws `usage` where the system's service manager runs this daemon already. */
async function refuseBesidePorts(options: LaunchOptions): Promise<void> {
  if (!(await isWithPorts(options))) return
  const sentence = 'The system’s service manager runs this daemon already, with ports 443 and 80.'
  throw new RootlingError('usage', sentence, {
    hint: 'To bring it up to date: rootling daemon install --ports. To take it back: rootling daemon uninstall',
  })
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
 * Takes the daemon from the service manager, also from the system's, and stops it. Succeeds also when
 * it was not installed.
 */
export async function uninstallDaemon(
  options: LaunchOptions,
  access: PortsAccess = {},
): Promise<UninstalledDaemon> {
  const { state } = options
  refuseSudo(state)
  const found = await takeFromManagers(options, access)
  if (found.removed) await stopDaemon(state)
  return found
}

const again = 'To take it from the system’s service manager later: rootling daemon uninstall'

/** Takes the daemon from the service manager that has it: the system's, or the user's. */
async function takeFromManagers(
  options: LaunchOptions,
  access: PortsAccess,
): Promise<UninstalledDaemon> {
  const { env } = options
  if (await isWithPorts(options)) {
    const path = portsServicePath
    try {
      const machine = await createMachine({ env, ...access })
      return { path, removed: true, problem: await removeUnits(machine) }
    } catch (error) {
      if (!(error instanceof RootlingError)) throw error
      return { path, removed: false, problem: `${error.message} ${again}` }
    }
  }
  const service = serviceOf(options)
  return { path: service.path, ...(await uninstallService(service, await createMachine({ env }))) }
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
  const found = await takeFromManagers(options, {})
  const stopped = await stopDaemon(state)
  // The manager may have stopped it already.
  const ran = stopped || (found.removed && pid !== null)
  return { ...found, pid: ran ? pid : null }
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

/** Describes the daemon in the foreground, for a service manager. */
function commandOf({ state, script }: LaunchOptions): ServiceCommand {
  const { authority } = state
  return {
    program: process.execPath,
    args: [...nodeFlags, script, 'daemon', 'run', '--quiet', ...named(authority)],
    home: defaultAuthority(state).path,
    authority,
  }
}

const named = (authority: string | undefined): string[] =>
  authority === undefined ? [] : ['--ca', authority]

/** Describes the daemon as a service of this system. */
function serviceOf(options: LaunchOptions): Service {
  const { state, script, env } = options
  const command = commandOf(options)
  switch (process.platform) {
    case 'darwin':
      return launchdService(command, userInfo().uid)
    case 'win32': {
      // With `run` a console window would stay open.
      const args = [script, 'daemon', 'start', '--quiet', ...named(state.authority)]
      const user = `${env['USERDOMAIN'] ?? ''}\\${env['USERNAME'] ?? ''}`
      return windowsTask({ ...command, args }, user, state.path)
    }
    default:
      return systemdService(command, xdgDirectory('XDG_CONFIG_HOME', env) ?? undefined)
  }
}
