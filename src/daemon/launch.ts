import { spawn } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { requireScopes } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import { withLock } from '../files/lock.ts'
import { daemonLock } from '../home/run-file.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { askDaemon } from './control-client.ts'
import {
  errorResponse,
  protocolVersion,
  resultOf,
  type ControlResponse,
} from './control-protocol.ts'
import type { DaemonStatus } from './daemon.ts'
import type { ProxyStatus } from './endpoints/proxy.ts'
import { nodeFlags } from './garbage.ts'
import { wakeByPorts } from './service/ports.ts'
import {
  defaultProxyPort,
  differences,
  readSettings,
  withChanges,
  writeSettings,
  type SettingsChanges,
} from './settings.ts'

/** The daemon to start, given by its state directory, and the program that it runs. */
export interface LaunchOptions {
  readonly state: StateDirectory
  /**
   * The absolute path of the `rootling` command's script, whose `daemon run` is started; `null`: the
   * program of this process needs none.
   */
  readonly script: string | null
  readonly env: Readonly<Record<string, string | undefined>>
  /** Returns the command for a hint, with another value of an option. Default: `daemon start`. */
  readonly commandWith?: CommandWith | undefined
}

/** Returns a command line of the daemon in which an option, without dashes, has this value. */
export type CommandWith = (option: string, value: string) => string

const startWith: CommandWith = (option, value) => `rootling daemon start --${option} ${value}`

export interface Started {
  /** `false` when the daemon was running already, so that the changes of settings had no effect. */
  readonly started: boolean
  readonly status: DaemonStatus
  /**
   * The options of the running daemon, where they are not those that were asked for. Absent: it was
   * started, also where another command did so first.
   */
  readonly others?: readonly string[]
}

/** Returns what follows the program on the command line that starts the daemon's process. */
export const beforeCommand = (script: string | null): string[] =>
  script === null ? [] : [...nodeFlags, script]

/** The time that a start or a stop may take. */
const patienceMilliseconds = 60_000

/** The time that systemd has to start the daemon, before a command starts it by hand. */
const wakingMilliseconds = 15_000

/**
 * Returns the status of the running daemon; `null` when none runs. Throws what `askDaemon` throws.
 */
export async function askStatus(state: StateDirectory): Promise<DaemonStatus | null> {
  return askDaemon<DaemonStatus>(state, 'status')
}

/**
 * Starts the daemon in the background and waits until it answers; succeeds also when one runs
 * already. Throws `no-authority`, `usage` for the settings or a call through sudo, and the daemon's
 * own error when it does not come up: then the settings stay as they were.
 */
export async function startDaemon(
  options: LaunchOptions,
  changes: SettingsChanges,
): Promise<Started> {
  const { state } = options
  refuseSudo(state)
  await requireScopes(state)
  const running = await askStatus(state)
  if (running !== null)
    return {
      started: false,
      status: running,
      // A daemon of an older release does not say which settings it has.
      others: differences(running.settings ?? (await readSettings(state)), changes),
    }
  const before = await readSettings(state)
  await writeSettings(state, withChanges(before, changes))
  try {
    return await launchOnce(options)
  } catch (error) {
    await writeSettings(state, before)
    throw error
  }
}

/**
 * Lets the daemon read the routes of the proxy again, and starts it where none runs. Throws what
 * `startDaemon` throws, `usage` where the proxy is off, and `connect-failed` for a daemon of an older
 * release, which has no proxy.
 */
export async function serveRoutes(options: LaunchOptions): Promise<ProxyStatus> {
  const { state } = options
  refuseSudo(state)
  try {
    const running = await askDaemon<ProxyStatus>(state, 'reload-proxy')
    if (running !== null) return running
  } catch (error) {
    const status = await askStatus(state).catch(() => null)
    if (status === null || 'proxy' in status) throw error
    throw new RootlingError('connect-failed', 'The daemon is of a release without a proxy.', {
      hint: 'rootling daemon restart',
      cause: error,
    })
  }
  const { status, started } = await startDaemon(options, {})
  if (!started) return serveRoutes(options)
  if (status.proxy != null) return status.proxy
  throw new RootlingError('usage', 'The daemon runs without the proxy.', {
    hint: `rootling daemon restart --proxy-port ${defaultProxyPort}`,
  })
}

/** How a browser reaches the dashboard: where the proxy listens, and the secret for its URL. */
export interface DashboardAccess {
  readonly status: ProxyStatus
  readonly token: string
}

/**
 * Lets the daemon serve its dashboard; starts it where it does not run. Throws what `serveRoutes` throws.
 */
export async function openDashboard(options: LaunchOptions): Promise<DashboardAccess> {
  await serveRoutes(options)
  const access = await askDaemon<DashboardAccess>(options.state, 'open-dashboard')
  if (access !== null) return access
  throw new RootlingError('connect-failed', 'The daemon ended meanwhile.', {
    hint: 'rootling daemon logs',
  })
}

/** Stops the daemon, if it runs, and starts it. Throws what `startDaemon` throws. */
export async function restartDaemon(
  options: LaunchOptions,
  changes: SettingsChanges,
): Promise<Started> {
  const { state } = options
  refuseSudo(state)
  // Settings that cannot be used are refused while the daemon still runs.
  withChanges(await readSettings(state), changes)
  const wasRunning = await stopDaemon(state)
  try {
    return await startDaemon(options, changes)
  } catch (error) {
    // With the settings that it had, it served a moment ago.
    if (wasRunning) await startDaemon(options, {}).catch(() => undefined)
    throw error
  }
}

/**
 * Stops the daemon and waits until it has ended; `false` when none ran. Throws `connect-failed`.
 */
export async function stopDaemon(state: StateDirectory): Promise<boolean> {
  const status = await askDaemon<DaemonStatus>(state, 'stop')
  if (status === null) return false
  try {
    const lock = { name: daemonLock, waitMilliseconds: patienceMilliseconds }
    await withLock(state, async () => undefined, lock)
  } catch (cause) {
    throw new RootlingError('connect-failed', `The daemon (pid ${status.pid}) does not stop.`, {
      hint: `kill ${status.pid}`,
      cause,
    })
  }
  return true
}

/**
 * Throws `usage` for a call through sudo: a daemon that runs as root would leave root's files in
 * the user's state directory.
 */
export function refuseSudo({ owner }: StateDirectory): void {
  if (owner === null) return
  throw new RootlingError('usage', 'The daemon belongs to the user and needs no root.', {
    hint: 'Run it without sudo',
  })
}

/**
 * Starts the daemon. When two commands start it at once, only one of them does; a daemon that is
 * still ending is waited for.
 */
async function launchOnce(options: LaunchOptions): Promise<Started> {
  const deadline = Date.now() + patienceMilliseconds
  if (await wakeByPorts(options.state)) {
    const status = await answerBefore(Date.now() + wakingMilliseconds, options)
    if (status !== null) return { started: true, status }
  }
  for (; ; await sleep(100)) {
    try {
      return { started: true, status: await launchDaemon(options) }
    } catch (error) {
      const isOther = error instanceof RootlingError && error.code === 'locked'
      if (!isOther || Date.now() > deadline) throw error
    }
    const status = await askStatus(options.state).catch(() => null)
    if (status !== null) return { started: false, status }
  }
}

/** Waits until the daemon answers; `null`: it does not in time. */
async function answerBefore(
  deadline: number,
  { state }: LaunchOptions,
): Promise<DaemonStatus | null> {
  for (; Date.now() < deadline; await sleep(100)) {
    const status = await askStatus(state).catch(() => null)
    if (status !== null) return status
  }
  return null
}

/**
 * Starts the daemon with its current settings. Throws the daemon's error when it does not come up.
 */
export async function launchDaemon({
  state,
  script,
  env,
  commandWith = startWith,
}: LaunchOptions): Promise<DaemonStatus> {
  const { NODE_EXTRA_CA_CERTS: _slow, ...rest } = env
  const named = state.authority === undefined ? [] : ['--ca', state.authority]
  const child = spawn(process.execPath, [...beforeCommand(script), 'daemon', 'run', ...named], {
    cwd: '/',
    detached: true,
    windowsHide: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: rest,
  })
  const ended = new Promise((resolve) => child.once('exit', resolve).once('error', resolve))
  const response = await new Promise<ControlResponse | null>((resolve) => {
    child.once('message', (message) => resolve(message as ControlResponse))
    // This also happens when the daemon ends: what it sent before has arrived by then.
    child.once('disconnect', () => resolve(null))
    child.once('error', () => resolve(null))
    setTimeout(() => child.kill() && resolve(null), patienceMilliseconds).unref()
  })
  if (child.connected) child.disconnect()
  if (response?.ok !== true) await ended
  child.unref()
  if (response !== null) return answerOf(response, commandWith)
  throw new RootlingError('connect-failed', 'The daemon did not start.', {
    hint: 'To see why: rootling daemon run',
  })
}

function answerOf(response: ControlResponse, commandWith: CommandWith): DaemonStatus {
  try {
    return resultOf(response) as DaemonStatus
  } catch (error) {
    throw withCommand(error, commandWith)
  }
}

/** Returns the daemon's error; a hint that is an option alone becomes a command that can be pasted. */
export function withCommand(error: unknown, commandWith: CommandWith): unknown {
  if (!(error instanceof RootlingError)) return error
  const [, option, value] = /^--([a-z0-9-]+) (\S+)$/.exec(error.hint ?? '') ?? []
  if (option === undefined || value === undefined) return error
  const hint = commandWith(option, value)
  return new RootlingError(error.code, error.message, { hint, cause: error })
}

/**
 * Tells the launcher, from the daemon's process, that the daemon is up. Does nothing without a
 * launcher.
 */
export function reportReady(status: DaemonStatus): void {
  report({ version: protocolVersion, id: 0, ok: true, result: status })
}

/**
 * Tells the launcher, from the daemon's process, why the daemon does not come up. Does nothing
 * without a launcher.
 */
export function reportFailure(error: unknown): void {
  report(errorResponse(0, error))
}

/** Sends one message to the launcher, which waits for no more, and disconnects. */
function report(response: ControlResponse): void {
  const done = (): void => {
    if (process.connected) process.disconnect()
  }
  if (process.connected) process.send?.(response, undefined, undefined, done)
}
