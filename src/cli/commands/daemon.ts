import { setTimeout as sleep } from 'node:timers/promises'
import { runDaemon, type DaemonStatus } from '../../daemon/daemon.ts'
import type { ProxyStatus } from '../../daemon/endpoints/proxy.ts'
import { limitGarbage } from '../../daemon/garbage.ts'
import {
  askStatus,
  refuseSudo,
  reportFailure,
  reportReady,
  restartDaemon,
  startDaemon,
  stopDaemon,
  withCommand,
  type CommandWith,
  type LaunchOptions,
  type Started,
} from '../../daemon/launch.ts'
import { createLog, logPath, olderLines, openTail, type LogTail } from '../../daemon/log-file.ts'
import { describeFailure } from '../../daemon/renewal-failures.ts'
import { readSettings, withChanges, type SettingsChanges } from '../../daemon/settings.ts'
import { RootlingError } from '../../errors.ts'
import { isStandalone } from '../../files/packed.ts'
import { inheritedSockets } from '../../server/inherited.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { timeText } from '../describe.ts'
import { stopSignal } from '../listening.ts'
import { hanging, type Line } from '../lines.ts'
import type { Output } from '../output.ts'
import { daemonStartSpec, type daemonLogsSpec, type daemonStatusSpec } from '../specs/servers.ts'
import { typedLine } from '../typed-line.ts'
import { quotedPath } from '../../shell-word.ts'

type StartArguments = ArgumentsOf<typeof daemonStartSpec>

/** `rootling daemon run`: runs the daemon in the foreground, and prints its log to stderr too. */
export async function daemonRun(args: StartArguments, context: Context): Promise<ExitCode> {
  const { state, output, now, env } = context
  refuseSudo(state)
  limitGarbage()
  // When the reader of its output goes away, the daemon goes on.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)
  const stopped = stopSignal()
  const write = createLog(state, now)
  const log = (line: string): void => {
    write(line)
    output.log(`${now().toISOString()} ${line}`)
  }
  const onReady = (status: DaemonStatus): void => {
    reportReady(status)
    output.result(describe(status, output), { ...status })
  }
  try {
    const settings = withChanges(await readSettings(state), changesOf(args))
    const script = ownScript()
    const command = [process.execPath, ...(script === null ? [] : [script])] as const
    const inherited = inheritedSockets(process.env)
    const given = { state, settings, inherited, now, env, log, command }
    await runDaemon({ ...given, stopSignal: stopped, onReady })
  } catch (error) {
    reportFailure(error)
    // When another daemon runs, the log file belongs to that daemon, which has not ended.
    const isOther = error instanceof RootlingError && error.code === 'locked'
    if (!isOther) write(`ended: ${error instanceof Error ? error.message : String(error)}`)
    throw withCommand(error, commandWith('daemon run', args))
  }
  return exitCodes.ok
}

/** Returns the line that was typed with another value of an option, for hints. */
const commandWith =
  (name: string, args: StartArguments): CommandWith =>
  (option, value) =>
    typedLine({ ...daemonStartSpec, name }, args, { [option]: value })

/**
 * `rootling daemon start`: starts the daemon in the background and waits until it answers. Succeeds
 * when it already runs.
 */
export async function daemonStart(args: StartArguments, context: Context): Promise<ExitCode> {
  const launch = { ...launchOptions(context), commandWith: commandWith('daemon start', args) }
  const started = await startDaemon(launch, changesOf(args))
  return reportStart(started, context, args)
}

function reportStart(
  { started, status, others = [] }: Started,
  { output }: Context,
  args: StartArguments,
): ExitCode {
  const restart = typedLine({ ...daemonStartSpec, name: 'daemon restart' }, args)
  if (started)
    output.note('The daemon was started. To start it at each login: rootling daemon install')
  else if (others.length > 0)
    output.warn(
      `The daemon runs already, with ${others.join(' ')}, which stays so. To restart it as asked: ${restart}`,
    )
  else output.note('The daemon runs already.')
  output.result(describe(status, output), { started, ...status })
  return exitCodes.ok
}

/** `rootling daemon stop`: stops the daemon. Succeeds when it does not run. */
export async function daemonStop(
  _args: ArgumentsOf<typeof daemonStatusSpec>,
  { state, output }: Context,
): Promise<ExitCode> {
  const stopped = await stopDaemon(state)
  output.note(stopped ? 'The daemon was stopped.' : 'The daemon is not running.')
  output.result([], { stopped })
  return exitCodes.ok
}

/** `rootling daemon restart`: stops the daemon, if it runs, and starts it. */
export async function daemonRestart(args: StartArguments, context: Context): Promise<ExitCode> {
  const launch = { ...launchOptions(context), commandWith: commandWith('daemon restart', args) }
  return reportStart(await restartDaemon(launch, changesOf(args)), context, args)
}

/** `rootling daemon status`: prints what the daemon does; exits 1 when it does not run. */
export async function daemonStatus(
  _args: ArgumentsOf<typeof daemonStatusSpec>,
  { state, output }: Context,
): Promise<ExitCode> {
  const status = await askStatus(state)
  if (status === null) {
    output.result([], { running: false })
    output.note('The daemon is not running. Start it: rootling daemon start')
    return exitCodes.failed
  }
  output.result(describe(status, output), { running: true, ...status })
  return exitCodes.ok
}

/**
 * `rootling daemon logs [-f] [--lines N]`: prints the end of the log, and with -f new lines as they
 * come.
 */
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
    throw new RootlingError('usage', '--follow prints lines as they come, and not as JSON.', {
      hint: 'Leave one of the two out',
    })
  const path = logPath(state)
  const tail = openTail(path)
  const all = [...(await olderLines(state)), ...tail.read()]
  const lines = all.slice(Math.max(0, all.length - count))
  if (all.length === 0) output.note(`There is nothing in the log ${quotedPath(path)} yet.`)
  output.result(lines, { path, lines })
  if (follow) await followLog(tail, output)
  tail.close()
  return exitCodes.ok
}

/** Prints new lines of the log until a signal comes or the reader of the output goes away. */
async function followLog(tail: LogTail, output: Output): Promise<void> {
  const ended = Promise.race([
    stopSignal(),
    new Promise((resolve) => process.stdout.on('error', resolve)),
  ]).then(() => true)
  while (!(await Promise.race([ended, sleep(250, false)])))
    for (const line of tail.read()) output.more(line)
}

/** Returns the settings that the command line names. */
function changesOf(args: StartArguments): SettingsChanges {
  return {
    acmePort: args['acme-port'],
    revocationPort: args['revocation-port'],
    http01Port: args['http01-port'],
    tlsAlpn01Port: args['tls-alpn01-port'],
    dnsResolver: args['dns-resolver'],
    allowRemote: args['no-allow-remote'] === true ? false : args['allow-remote'],
    eabRequired: args['no-eab-required'] === true ? false : args['eab-required'],
    acmeHost: args['acme-host'],
    proxyPort: args['proxy-port'],
  }
}

/** Returns the options to launch the daemon, which runs what this process runs. */
export const launchOptions = ({ state, env }: Context): LaunchOptions => ({
  state,
  script: ownScript(),
  env,
})

/** Returns the script of this process; `null`: it is the single executable, which has none. */
const ownScript = (): string | null => (isStandalone() ? null : (process.argv[1] ?? ''))

function describe(
  { pid, since, listening, proxy = null, nextRenewal, failures }: DaemonStatus,
  output: Output,
): Line[] {
  return [
    `Running since ${timeOf(since)}, pid ${pid}`,
    ...listening.flatMap(({ what, url }) => row(what, url, output)),
    ...proxyLines(proxy, output),
    ...row(
      'next renewal',
      nextRenewal === null ? 'none: no certificate is tracked' : timeOf(nextRenewal),
      output,
    ),
    ...failures.flatMap((failure) =>
      row(
        'FAILED',
        `${output.hint(describeFailure(failure))} (next try ${timeOf(failure.nextAttempt)})`,
        output,
      ),
    ),
  ]
}

/** Where the texts of `daemon status` begin. */
const textColumn = 14

/** Returns a text with its title, on a terminal below its own beginning. */
function row(title: string, text: string, { isTerminal, width }: Output): Line[] {
  const line = `${title.padEnd(textColumn)}${text}`
  return isTerminal ? hanging(line, textColumn, width, 0) : [line]
}

/** Why the proxy is not where it should be, and what to type. */
function proxyLines(proxy: ProxyStatus | null, output: Output): Line[] {
  if (proxy?.reason == null) return []
  const { port, reason, hint } = proxy
  return [
    ...(port === null
      ? row('proxy', `does not listen: ${reason}`, output)
      : row('', reason, output)),
    ...(hint === null ? [] : output.prose(`  → ${output.hint(hint)}`)),
  ]
}

const timeOf = (iso: string): string => timeText(new Date(iso))
