import { once } from 'node:events'
import { isIP } from 'node:net'
import { RootlingError } from '../errors.ts'

/** The address of `--host`, without brackets. Throws `usage`. */
export function parseHost(host: string, hint: string): string {
  const bare = host.replace(/^\[(.*)\]$/, '$1')
  if (isIP(bare) !== 0 || bare === 'localhost') return bare
  throw new RootlingError('usage', `--host ${host} is not an IP address.`, { hint })
}

/** The port of an option. Throws `usage`. */
export function parsePort(port: number, hint: string, option = 'port'): number {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new RootlingError('usage', `--${option} ${port} is not between 0 and 65535.`, { hint })
}

/** What to warn of when others can connect; `null`: nobody else can. */
export function exposure(host: string): string | null {
  if (host === 'localhost' || host === '::1' || host.startsWith('127.')) return null
  return `Listening on ${host}: other machines can connect too.`
}

/** The first SIGINT or SIGTERM; the second ends the process at once, as is the default. */
export async function stopSignal(): Promise<void> {
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')])
  for (const signal of ['SIGINT', 'SIGTERM']) process.removeAllListeners(signal)
}
