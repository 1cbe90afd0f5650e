import { once } from 'node:events'
import { isIP } from 'node:net'
import { RootlingError } from '../errors.ts'

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
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  await Promise.race(signals.map((signal) => once(process, signal)))
  for (const signal of signals) process.removeAllListeners(signal)
}
