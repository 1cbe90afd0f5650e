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
import { readSettings, withChanges, writeSettings, type SettingsChanges } from './settings.ts'

/** Which daemon is meant, and the program that it runs. */
export interface LaunchOptions {
  readonly state: StateDirectory
  /** The script of the `rootling` command, whose `daemon run` is started; absolute. */
  readonly script: string
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface Started {
  /** `false`: it was running already, and the changes of settings had no effect. */
  readonly started: boolean
  readonly status: DaemonStatus
}

/**
 * A quarter of V8's usual room for new objects, and no more garbage than half of what is in use:
 * as fast over thousands of ACME orders, with the memory of the first thousands for all.
 */
export const nodeFlags = ['--max-semi-space-size=4', '--heap-growing-percent=50']

/** How long a start or a stop may take. */
const patienceMilliseconds = 60_000

/** The status of the running daemon; `null`: none runs. Throws what `askDaemon` throws. */
export async function askStatus(state: StateDirectory): Promise<DaemonStatus | null> {
  return askDaemon<DaemonStatus>(state, 'status')
}

/**
 * Starts the daemon in the background and waits until it answers; one that runs already is success.
 * Throws `no-authority`, `usage` for the settings or a call through sudo, and the daemon's own
 * error when it does not come up: then the settings stay as they were.
 */
export async function startDaemon(
  options: LaunchOptions,
  changes: SettingsChanges,
): Promise<Started> {
  const { state } = options
  refuseSudo(state)
  await requireScopes(state)
  const running = await askStatus(state)
  if (running !== null) return { started: false, status: running }
  const before = await readSettings(state)
  await writeSettings(state, withChanges(before, changes))
  try {
    return await launchOnce(options)
  } catch (error) {
    await writeSettings(state, before)
    throw error
  }
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
  await stopDaemon(state)
  return startDaemon(options, changes)
}

/** Stops the daemon and waits until it has ended; `false`: none ran. Throws `connect-failed`. */
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

/** A daemon that root runs would leave files of root's in the user's state directory. */
export function refuseSudo({ owner }: StateDirectory): void {
  if (owner === null) return
  throw new RootlingError('usage', 'The daemon belongs to the user and needs no root.', {
    hint: 'Run it without sudo',
  })
}

/** Of two starts at once one starts the daemon. One that is still ending is waited for. */
async function launchOnce(options: LaunchOptions): Promise<Started> {
  for (const deadline = Date.now() + patienceMilliseconds; ; await sleep(100)) {
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

/**
 * Starts the daemon with the settings that it has. Throws the daemon's error when it does not come
 * up.
 */
export async function launchDaemon({ state, script, env }: LaunchOptions): Promise<DaemonStatus> {
  const { NODE_EXTRA_CA_CERTS: _slow, ...rest } = env
  const named = state.authority === undefined ? [] : ['--ca', state.authority]
  const child = spawn(process.execPath, [...nodeFlags, script, 'daemon', 'run', ...named], {
    cwd: '/',
    detached: true,
    windowsHide: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: rest,
  })
  const ended = new Promise((resolve) => child.once('exit', resolve).once('error', resolve))
  const response = await new Promise<ControlResponse | null>((resolve) => {
    child.once('message', (message) => resolve(message as ControlResponse))
    // Also when it ends: what it sent before has arrived by then.
    child.once('disconnect', () => resolve(null))
    child.once('error', () => resolve(null))
    setTimeout(() => child.kill() && resolve(null), patienceMilliseconds).unref()
  })
  if (child.connected) child.disconnect()
  if (response?.ok !== true) await ended
  child.unref()
  if (response !== null) return resultOf(response) as DaemonStatus
  throw new RootlingError('connect-failed', 'The daemon did not start.', {
    hint: 'rootling daemon run shows why',
  })
}

/**
 * For the daemon's process: says to the launcher that it is up. Without a launcher nothing happens.
 */
export function reportReady(status: DaemonStatus): void {
  report({ version: protocolVersion, id: 0, ok: true, result: status })
}

/**
 * For the daemon's process: says to the launcher why it does not come up, or nothing, as
 * `reportReady`.
 */
export function reportFailure(error: unknown): void {
  report(errorResponse(0, error))
}

/** The launcher waits for one message. */
function report(response: ControlResponse): void {
  const done = (): void => {
    if (process.connected) process.disconnect()
  }
  if (process.connected) process.send?.(response, undefined, undefined, done)
}
