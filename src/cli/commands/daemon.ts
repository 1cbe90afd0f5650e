import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { requireScopes } from '../../authority.ts'
import { askDaemon } from '../../daemon/control-client.ts'
import { runDaemon, type DaemonStatus } from '../../daemon/daemon.ts'
import { lastLines, logPath, openLogFile } from '../../daemon/log-file.ts'
import { readSettings, writeSettings, type DaemonSettings } from '../../daemon/settings.ts'
import { RootlingError } from '../../errors.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { parsePort } from '../listening.ts'
import type { daemonLogsSpec, daemonStartSpec, daemonStatusSpec } from '../table.ts'

type StartArguments = ArgumentsOf<typeof daemonStartSpec>

/** `rootling daemon run`: in the foreground, its log on stderr too. */
export async function daemonRun(args: StartArguments, context: Context): Promise<ExitCode> {
  const { state, output, now, env } = context
  refuseSudo(context)
  const settings = await settingsOf(args, context)
  const logFile = openLogFile(state, now)
  const log = (line: string): void => {
    logFile.write(line)
    output.log(`${now().toISOString()} ${line}`)
  }
  const stopSignal = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  const onReady = (status: DaemonStatus): void => output.result(describe(status), { ...status })
  try {
    await runDaemon({ state, settings, now, env, log, stopSignal, onReady })
  } catch (error) {
    log(`ended: ${error instanceof Error ? error.message : String(error)}`)
    throw error
  } finally {
    logFile.close()
  }
  return exitCodes.ok
}

/** `rootling daemon start`: in the background; waits until it answers. Running already is success. */
export async function daemonStart(args: StartArguments, context: Context): Promise<ExitCode> {
  const { state, output } = context
  refuseSudo(context)
  await requireScopes(state)
  const running = await askDaemon<DaemonStatus>(state, 'status')
  if (running !== null) {
    output.note('The daemon runs already. New settings need: rootling daemon restart')
    output.result(describe(running), { started: false, ...running })
    return exitCodes.ok
  }
  await writeSettings(state, await settingsOf(args, context))
  const status = await launch(context)
  output.note('The daemon was started. To start it at each login: rootling daemon install')
  output.result(describe(status), { started: true, ...status })
  return exitCodes.ok
}

/** `rootling daemon stop`; not running is success. */
export async function daemonStop(
  _args: ArgumentsOf<typeof daemonStatusSpec>,
  { state, output }: Context,
): Promise<ExitCode> {
  const stopped = await stop(state)
  output.note(stopped ? 'The daemon was stopped.' : 'The daemon does not run.')
  output.result('', { stopped })
  return exitCodes.ok
}

export async function daemonRestart(args: StartArguments, context: Context): Promise<ExitCode> {
  await stop(context.state)
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
  const lines = await lastLines(state, args.lines ?? 50)
  output.result(lines.join('\n'), { path: logPath(state), lines })
  if (args.follow !== true) return exitCodes.ok
  let last = lines.at(-1)
  const stopped = Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]).then(() => true)
  while (!(await Promise.race([stopped, sleep(500, false)]))) {
    const recent = await lastLines(state, 1000)
    const fresh = recent.slice(last === undefined ? 0 : recent.lastIndexOf(last) + 1)
    for (const line of fresh) process.stdout.write(`${line}\n`)
    last = recent.at(-1) ?? last
  }
  return exitCodes.ok
}

/** A daemon of root's would write root's files into the caller's state. */
function refuseSudo({ state }: Context): void {
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

/** A daemon waits more than it works: a third less memory for a tenth of its speed. */
export const lean = ['--optimize-for-size', '--max-semi-space-size=1']

/** Starts this very program in the background. Throws with the log's end when it does not come up. */
async function launch({ state, env }: Context): Promise<DaemonStatus> {
  const { NODE_EXTRA_CA_CERTS: _slow, ...rest } = env
  const named = state.authority === undefined ? [] : ['--ca', state.authority]
  const program = process.argv[1] ?? ''
  const child = spawn(process.execPath, [...lean, program, 'daemon', 'run', ...named], {
    cwd: state.path,
    detached: true,
    stdio: 'ignore',
    env: rest,
  })
  child.unref()
  const deadline = Date.now() + 15_000
  for (; Date.now() < deadline && child.exitCode === null; await sleep(50)) {
    const status = await askDaemon<DaemonStatus>(state, 'status').catch(() => null)
    if (status !== null) return status
  }
  const [last = ''] = await lastLines(state, 1)
  throw new RootlingError('connect-failed', `The daemon did not start. ${last}`.trim(), {
    hint: 'rootling daemon run shows why',
  })
}

async function stop(state: Context['state']): Promise<boolean> {
  const status = await askDaemon<DaemonStatus>(state, 'stop')
  if (status === null) return false
  for (const deadline = Date.now() + 15_000; Date.now() < deadline; await sleep(25))
    if ((await askDaemon(state, 'status').catch(() => null)) === null) return true
  throw new RootlingError('connect-failed', `The daemon (pid ${status.pid}) does not stop.`, {
    hint: `kill ${status.pid}`,
  })
}

function describe({ pid, since, listening, nextRenewal, failures }: DaemonStatus): string {
  return [
    `Running since ${since}, pid ${pid}`,
    ...listening.map(({ what, url }) => `${what.padEnd(12)}${url}`),
    `next renewal ${nextRenewal ?? 'none: no certificate is tracked'}`,
    ...failures.map(
      ({ names, reason, nextAttempt }) =>
        `FAILED       ${names.join(', ')}: ${reason} Next try ${nextAttempt}`,
    ),
  ].join('\n')
}
