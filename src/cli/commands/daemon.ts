import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { requireScopes } from '../../authority/scope.ts'
import { askDaemon } from '../../daemon/control-client.ts'
import {
  errorResponse,
  protocolVersion,
  resultOf,
  type ControlResponse,
} from '../../daemon/control-protocol.ts'
import { runDaemon, whenStopped, type DaemonStatus } from '../../daemon/daemon.ts'
import { createLog, logPath, olderLines, openTail, type LogTail } from '../../daemon/log-file.ts'
import { describeFailure } from '../../daemon/renewal-failures.ts'
import { readSettings, writeSettings, type DaemonSettings } from '../../daemon/settings.ts'
import { RootlingError } from '../../errors.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { parsePort } from '../listening.ts'
import type { daemonLogsSpec, daemonStartSpec, daemonStatusSpec } from '../specs/servers.ts'

type StartArguments = ArgumentsOf<typeof daemonStartSpec>

/** `rootling daemon run`: in the foreground, its log on stderr too. */
export async function daemonRun(args: StartArguments, context: Context): Promise<ExitCode> {
  const { state, output, now, env } = context
  refuseSudo(context)
  // Whoever reads along may go away; the daemon stays.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  const stopSignal = firstSignal()
  const write = createLog(state, now)
  const log = (line: string): void => {
    write(line)
    output.log(`${now().toISOString()} ${line}`)
  }
  const onReady = (status: DaemonStatus): void => {
    tellParent({ version: protocolVersion, id: 0, ok: true, result: status })
    output.result(describe(status), { ...status })
  }
  try {
    const settings = await settingsOf(args, context)
    await runDaemon({ state, settings, now, env, log, stopSignal, onReady })
  } catch (error) {
    tellParent(errorResponse(0, error))
    // The log is the running daemon's, and nothing ended there.
    const isOther = error instanceof RootlingError && error.code === 'locked'
    if (!isOther) write(`ended: ${error instanceof Error ? error.message : String(error)}`)
    throw error
  }
  return exitCodes.ok
}

/** Also of a terminal that is closed. The second one ends the process at once, as is the default. */
async function firstSignal(): Promise<void> {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  await Promise.race(signals.map((signal) => once(process, signal)))
  for (const signal of signals) process.removeAllListeners(signal)
}

/** `rootling daemon start` waits for this, once; without such a parent nothing happens. */
function tellParent(response: ControlResponse): void {
  const done = (): void => {
    if (process.connected) process.disconnect()
  }
  if (process.connected) process.send?.(response, undefined, undefined, done)
}

/** `rootling daemon start`: in the background; waits until it answers. Running already is success. */
export async function daemonStart(args: StartArguments, context: Context): Promise<ExitCode> {
  const { state, output } = context
  refuseSudo(context)
  await requireScopes(state)
  const running = await askDaemon<DaemonStatus>(state, 'status')
  const { started, status } =
    running === null
      ? await startWith(await settingsOf(args, context), context)
      : { started: false, status: running }
  output.note(
    started
      ? 'The daemon was started. To start it at each login: rootling daemon install'
      : 'The daemon runs already. New settings need: rootling daemon restart',
  )
  output.result(describe(status), { started, ...status })
  return exitCodes.ok
}

/** `rootling daemon stop`; not running is success. */
export async function daemonStop(
  _args: ArgumentsOf<typeof daemonStatusSpec>,
  { state, output }: Context,
): Promise<ExitCode> {
  const stopped = await stopDaemon(state)
  output.note(stopped ? 'The daemon was stopped.' : 'The daemon does not run.')
  output.result('', { stopped })
  return exitCodes.ok
}

export async function daemonRestart(args: StartArguments, context: Context): Promise<ExitCode> {
  refuseSudo(context)
  // What is wrong with the line is said while the daemon still runs.
  await settingsOf(args, context)
  await stopDaemon(context.state)
  return daemonStart(args, context)
}

/** `rootling daemon status`: exit 1 when it does not run. */
export async function daemonStatus(
  _args: ArgumentsOf<typeof daemonStatusSpec>,
  { state, output }: Context,
): Promise<ExitCode> {
  const status = await askDaemon<DaemonStatus>(state, 'status')
  if (status === null) {
    output.result('', { running: false })
    output.note('The daemon does not run. Start it: rootling daemon start')
    return exitCodes.failed
  }
  output.result(describe(status), { running: true, ...status })
  return exitCodes.ok
}

/** `rootling daemon logs [-f] [--lines N]`. */
export async function daemonLogs(
  args: ArgumentsOf<typeof daemonLogsSpec>,
  { state, output }: Context,
): Promise<ExitCode> {
  const { follow = false, lines: count = 50 } = args
  if (!Number.isInteger(count) || count < 0)
    throw new RootlingError('usage', `--lines ${count} is not a number of lines.`, {
      hint: 'rootling daemon logs --lines 100',
    })
  if (follow && output.json)
    throw new RootlingError('usage', '--follow prints lines as they come, which is no JSON.', {
      hint: 'Leave one of the two out',
    })
  const path = logPath(state)
  const tail = openTail(path)
  const all = [...(await olderLines(state)), ...tail.read()]
  const lines = all.slice(Math.max(0, all.length - count))
  if (all.length === 0) output.note(`There is nothing in the log ${path} yet.`)
  output.result(lines.join('\n'), { path, lines })
  if (follow) await followLog(tail)
  tail.close()
  return exitCodes.ok
}

/** Until a signal comes, or nobody reads any more. */
async function followLog(tail: LogTail): Promise<void> {
  const ended = Promise.race([
    firstSignal(),
    new Promise((resolve) => process.stdout.on('error', resolve)),
  ]).then(() => true)
  while (!(await Promise.race([ended, sleep(250, false)])))
    for (const line of tail.read()) process.stdout.write(`${line}\n`)
}

/** A daemon of root's would write root's files into the caller's state. */
export function refuseSudo({ state }: Context): void {
  if (state.owner === null) return
  throw new RootlingError('usage', 'The daemon is the user’s own and needs no root.', {
    hint: 'Run it without sudo',
  })
}

async function settingsOf(args: StartArguments, { state }: Context): Promise<DaemonSettings> {
  const kept = await readSettings(state)
  const port = (value: number | undefined, otherwise: number, name: string): number =>
    value === undefined ? otherwise : parsePort(value, '0 turns it off', name)
  return {
    acmePort: port(args['acme-port'], kept.acmePort, 'acme-port'),
    revocationPort: port(args['revocation-port'], kept.revocationPort, 'revocation-port'),
    http01Port: port(args['http01-port'], kept.http01Port, 'http01-port'),
    tlsAlpn01Port: port(args['tls-alpn01-port'], kept.tlsAlpn01Port, 'tls-alpn01-port'),
    dnsResolver: args['dns-resolver'] ?? kept.dnsResolver,
    allowRemote: args['allow-remote'] ?? kept.allowRemote,
    eabRequired: args['eab-required'] ?? kept.eabRequired,
  }
}

/**
 * A quarter of V8's room for new objects, and no more garbage than half of what is in use: as fast
 * over thousands of ACME orders, and the memory of the first thousands is enough for all.
 */
export const nodeFlags = ['--max-semi-space-size=4', '--heap-growing-percent=50']

const patienceMilliseconds = 60_000

/** Starts it with these settings, and keeps them when it comes up. */
async function startWith(
  settings: DaemonSettings,
  context: Context,
): Promise<{ started: boolean; status: DaemonStatus }> {
  const { state } = context
  const before = await readSettings(state)
  await writeSettings(state, settings)
  try {
    return await startOnce(context)
  } catch (error) {
    await writeSettings(state, before)
    throw error
  }
}

/** Of two starts at once one starts it; a daemon that is still ending is waited for. */
async function startOnce(context: Context): Promise<{ started: boolean; status: DaemonStatus }> {
  for (const deadline = Date.now() + patienceMilliseconds; ; await sleep(100)) {
    try {
      return { started: true, status: await launchDaemon(context) }
    } catch (error) {
      const isOther = error instanceof RootlingError && error.code === 'locked'
      if (!isOther || Date.now() > deadline) throw error
    }
    const status = await askDaemon<DaemonStatus>(context.state, 'status').catch(() => null)
    if (status !== null) return { started: false, status }
  }
}

/** Starts this very program in the background. Throws what it says when it does not come up. */
export async function launchDaemon({ state, env }: Context): Promise<DaemonStatus> {
  const { NODE_EXTRA_CA_CERTS: _slow, ...rest } = env
  const named = state.authority === undefined ? [] : ['--ca', state.authority]
  const program = process.argv[1] ?? ''
  const child = spawn(process.execPath, [...nodeFlags, program, 'daemon', 'run', ...named], {
    cwd: '/',
    detached: true,
    windowsHide: true,
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: rest,
  })
  const ended = new Promise((resolve) => child.once('exit', resolve).once('error', resolve))
  const response = await new Promise<ControlResponse | null>((resolve) => {
    child.once('message', (message) => resolve(message as ControlResponse))
    // Also when it ends: what it sent before has come by then.
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

/** Ends the daemon and waits until it is gone; `false`: none ran. */
export async function stopDaemon(state: Context['state']): Promise<boolean> {
  const status = await askDaemon<DaemonStatus>(state, 'stop')
  if (status === null) return false
  await whenStopped(state, patienceMilliseconds).catch((cause: unknown) => {
    throw new RootlingError('connect-failed', `The daemon (pid ${status.pid}) does not stop.`, {
      hint: `kill ${status.pid}`,
      cause,
    })
  })
  return true
}

function describe({ pid, since, listening, nextRenewal, failures }: DaemonStatus): string {
  return [
    `Running since ${since}, pid ${pid}`,
    ...listening.map(({ what, url }) => `${what.padEnd(14)}${url}`),
    `next renewal  ${nextRenewal ?? 'none: no certificate is tracked'}`,
    ...failures.map(
      (failure) => `FAILED        ${describeFailure(failure)} (next try ${failure.nextAttempt})`,
    ),
  ].join('\n')
}
