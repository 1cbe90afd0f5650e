import { once } from 'node:events'
import { isIP } from 'node:net'
import { RootlingError } from '../errors.ts'
import type { CommandSpec } from './command.ts'
import { typedLine } from './typed-line.ts'

/**
 * Returns the value of `--host` without brackets. Throws `usage` unless it is an IP address or
 * `localhost`.
 */
export function parseHost(host: string, hint: string): string {
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  if (isIP(bare) !== 0 || bare === 'localhost') return bare
  throw new RootlingError('usage', `--host ${host} is not an IP address.`, { hint })
}

/** Returns the port that an option names. Throws `usage` for a number that is no port. */
export function parsePort(port: number, hint: string, option = 'port'): number {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new RootlingError('usage', `--${option} ${port} is not between 0 and 65535.`, { hint })
}

/**
 * Waits for a server to listen. When it cannot have its port or its address, the hint of the error
 * is the whole line that a person typed, with another one.
 */
export async function listeningAs<T>(
  spec: CommandSpec,
  args: Parameters<typeof typedLine>[1],
  starting: Promise<T>,
): Promise<T> {
  try {
    return await starting
  } catch (error) {
    if (!(error instanceof RootlingError)) throw error
    const [, option, value] = /^--((?:[a-z]+-)?port|host) (\S+)$/.exec(error.hint ?? '') ?? []
    if (option === undefined) throw error
    const hint = typedLine(spec, args, { [option]: value })
    throw new RootlingError(error.code, error.message, { hint, cause: error })
  }
}

/** Returns a warning when other machines can connect to this address; `null`: they cannot. */
export function exposure(host: string): string | null {
  if (host === 'localhost' || host === '::1' || host.startsWith('127.')) return null
  return `Listening on ${host}: other machines can connect too.`
}

/**
 * Resolves at the first SIGINT, SIGTERM, or SIGHUP, which a closed terminal sends. A second signal
 * ends the process at once, as is Node's default.
 */
export async function stopSignal(): Promise<void> {
  // Without a listener Node opens its debugger at this signal, on a port by which every user of this
  // machine could have our keys read.
  process.on('SIGUSR1', () => undefined)
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  await Promise.race(signals.map((signal) => once(process, signal)))
  for (const signal of signals) process.removeAllListeners(signal)
}
