import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { requireScopes } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { withLock } from '../files/lock.ts'
import { startControlServer } from './control-server.ts'
import type { Method } from './control-protocol.ts'
import { startRenewal } from './renewal.ts'
import type { RenewalFailure } from './renewal-failures.ts'
import {
  daemonLock,
  readRunFile,
  removeRunFile,
  removeStaleSocket,
  socketPath,
  writeRunFile,
} from '../home/run-file.ts'
import { startEndpoints } from './endpoints/index.ts'
import type { CommandLine } from './endpoints/dashboard.ts'
import type { ProxyStatus } from './endpoints/proxy.ts'
import type { DaemonSettings } from './settings.ts'
import { quotedPath } from '../shell-word.ts'

/** What `daemon status` shows. */
export interface DaemonStatus {
  readonly pid: number
  /** ISO 8601, UTC. */
  readonly since: string
  readonly listening: readonly { readonly what: string; readonly url: string }[]
  /** What the proxy does; `null`: it is off, and absent: the daemon is of a release without a proxy. */
  readonly proxy?: ProxyStatus | null
  /** When the next certificate is due; `null` when none is tracked. */
  readonly nextRenewal: string | null
  readonly failures: readonly RenewalFailure[]
  readonly memoryBytes: number
  /** Absent: the daemon is of a release that does not say them. */
  readonly settings?: DaemonSettings
}

export interface DaemonOptions {
  readonly state: StateDirectory
  readonly settings: DaemonSettings
  readonly now: () => Date
  readonly log: (line: string) => void
  /** Sockets that a service manager bound, for the proxy, by name. Default: none. */
  readonly inherited?: ReadonlyMap<string, readonly number[]> | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  /** How the dashboard runs commands; absent: there is none. */
  readonly command?: CommandLine | undefined
  /** Called once when everything listens. */
  readonly onReady?: (status: DaemonStatus) => void
  /** Resolves when the process is to stop, such as by a signal. */
  readonly stopSignal: Promise<unknown>
}

/**
 * Runs the daemon until it has to stop. There is one for each state directory. Throws `locked` when
 * another runs, `no-authority` (also when the state directory is deleted meanwhile), and
 * `port-in-use`.
 */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { state } = options
  await requireScopes(state)
  try {
    const lock = { name: daemonLock, waitMilliseconds: 0 }
    await withLock(state, () => runLocked(options), lock)
  } catch (error) {
    if (!(error instanceof RootlingError) || error.code !== 'locked') throw error
    const pid = (await readRunFile(state))?.pid
    throw new RootlingError(
      'locked',
      `The daemon runs already${pid === undefined ? '' : ` (pid ${pid})`}.`,
      {
        hint: 'rootling daemon status',
        cause: error,
      },
    )
  }
}

async function runLocked(options: DaemonOptions): Promise<void> {
  const { state, log, now } = options
  const since = now().toISOString()
  const cleanUp: (() => unknown)[] = []
  let stop = (): void => undefined
  const stopping = new Promise<void>((resolve) => (stop = resolve))
  // Watched until everything else is cleaned up: a second exception must not end the process.
  const crash = watchForCrash(log)
  cleanUp.unshift(crash.stop)
  try {
    const endpoints = await startEndpoints({ ...options, daemonStatus: () => status() })
    cleanUp.unshift(() => endpoints.close())
    const renewal = await startRenewal(options)
    cleanUp.unshift(() => renewal.stop())
    const status = (): DaemonStatus => ({
      pid: process.pid,
      since,
      listening: endpoints.listening(),
      proxy: endpoints.proxy(),
      nextRenewal: renewal.nextDue(),
      failures: renewal.failures(),
      memoryBytes: process.memoryUsage.rss(),
      settings: options.settings,
    })
    const handle = async (method: Method): Promise<unknown> => {
      switch (method) {
        case 'status':
          return status()
        case 'renew':
          await renewal.check()
          return status()
        case 'stop':
          stop()
          return status()
        case 'create-eab-key':
          return endpoints.createEabKey()
        case 'reload-proxy':
          return endpoints.reloadProxy()
        case 'open-dashboard':
          return endpoints.openDashboard()
      }
    }
    const token = randomBytes(32).toString('hex')
    const before = await readRunFile(state)
    if (before !== null) removeStaleSocket(before)
    const address = await socketPath(state, randomBytes(16).toString('hex'))
    const control = await startControlServer({
      address,
      token,
      handle,
      onError: (error) => log(`control socket: ${String(error)}`),
    })
    cleanUp.unshift(() => control.close())
    const revocationUrl =
      endpoints.listening().find(({ what }) => what === 'revocation')?.url ?? null
    const run = { address, token, pid: process.pid, since, revocationUrl }
    await writeRunFile(state, run)
    cleanUp.unshift(() => removeRunFile(state, run))
    const gone = watchForDeletion(state)
    cleanUp.unshift(gone.stop)
    const urls = endpoints.listening().map(({ url }) => url)
    log(`started, pid ${process.pid}: ${['renewal', ...urls].join(', ')}`)
    options.onReady?.(status())
    void renewal.check()
    await Promise.race([options.stopSignal, stopping, gone.happened, crash.happened])
    log('stopping')
  } finally {
    for (const step of cleanUp)
      try {
        await step()
      } catch (error) {
        log(`stopping: ${error instanceof Error ? error.message : String(error)}`)
      }
  }
}

const deletionCheckMilliseconds = 1_000

/** Rejects `happened` when the state directory is deleted or made anew while the daemon runs. */
function watchForDeletion(state: StateDirectory): { happened: Promise<never>; stop: () => void } {
  const inode = (): number | undefined =>
    statSync(join(state.path, daemonLock), { throwIfNoEntry: false })?.ino
  const ours = inode()
  let timer: NodeJS.Timeout | undefined
  const happened = new Promise<never>((_resolve, reject) => {
    const sentence = `The state directory ${quotedPath(state.path)} was deleted while the daemon ran.`
    timer = setInterval(() => {
      if (inode() !== ours)
        reject(new RootlingError('no-authority', sentence, { hint: 'rootling install' }))
    }, deletionCheckMilliseconds)
  })
  // Once the watch is stopped nothing awaits this promise any more.
  happened.catch(() => undefined)
  return { happened, stop: () => clearInterval(timer) }
}

/**
 * Rejects `happened` at an exception that nothing caught. The daemon then writes it to its log,
 * deletes its socket and run file, and ends. Further exceptions are only logged.
 */
function watchForCrash(log: DaemonOptions['log']): { happened: Promise<never>; stop: () => void } {
  let onCrash = (_error: unknown): void => undefined
  const happened = new Promise<never>((_resolve, reject) => {
    onCrash = (error) => {
      log(`crashed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
      reject(error)
    }
  })
  happened.catch(() => undefined)
  process.on('uncaughtException', onCrash)
  process.on('unhandledRejection', onCrash)
  const stop = (): void => {
    process.off('uncaughtException', onCrash)
    process.off('unhandledRejection', onCrash)
  }
  return { happened, stop }
}
