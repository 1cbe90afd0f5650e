import { randomBytes } from 'node:crypto'
import { requireScopes } from '../authority.ts'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../paths.ts'
import { withLock } from '../storage/lock.ts'
import { startControlServer } from './control-server.ts'
import type { Method } from './control-protocol.ts'
import { startRenewal, type RenewalFailure } from './renewal.ts'
import { readRunFile, removeRunFile, socketPath, writeRunFile } from './run-file.ts'
import { startEndpoints } from './endpoints.ts'
import type { DaemonSettings } from './settings.ts'

/** What `daemon status` tells. */
export interface DaemonStatus {
  readonly pid: number
  /** ISO 8601, UTC. */
  readonly since: string
  readonly listening: readonly { readonly what: string; readonly url: string }[]
  /** When the next certificate is due; `null`: none is tracked. */
  readonly nextRenewal: string | null
  readonly failures: readonly RenewalFailure[]
  readonly memoryBytes: number
}

export interface DaemonOptions {
  readonly state: StateDirectory
  readonly settings: DaemonSettings
  readonly now: () => Date
  readonly log: (line: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /** Called once when everything listens. */
  readonly onReady?: (status: DaemonStatus) => void
  /** Resolves when the process is to stop, such as by a signal. */
  readonly stopSignal: Promise<unknown>
}

/**
 * Runs the daemon until it is told to stop. One for each state directory: throws `locked` when
 * another runs, `no-authority`, `port-in-use`.
 */
export async function runDaemon(options: DaemonOptions): Promise<void> {
  const { state } = options
  await requireScopes(state)
  try {
    const lock = { name: 'daemon.lock', waitMilliseconds: 0 }
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
  const endpoints = await startEndpoints(options)
  const renewal = await startRenewal(options)
  const token = randomBytes(32).toString('hex')
  const address = await socketPath(state, randomBytes(16).toString('hex'))
  let stop = (): void => undefined
  const stopping = new Promise<void>((resolve) => (stop = resolve))
  const status = (): DaemonStatus => ({
    pid: process.pid,
    since,
    listening: endpoints.listening,
    nextRenewal: renewal.nextDue(),
    failures: renewal.failures(),
    memoryBytes: process.memoryUsage.rss(),
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
    }
  }
  const control = await startControlServer({ address, token, handle })
  try {
    await writeRunFile(state, { address, token, pid: process.pid, since })
    log(`started, pid ${process.pid}: ${endpoints.listening.map(({ url }) => url).join(', ')}`)
    options.onReady?.(status())
    void renewal.check()
    await Promise.race([options.stopSignal, stopping])
    log('stopping')
  } finally {
    renewal.stop()
    await control.close()
    await endpoints.close()
    await removeRunFile(state)
  }
}
