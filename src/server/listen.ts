import { once } from 'node:events'
import {
  isIPv6,
  type AddressInfo,
  type ListenOptions as ServerListenOptions,
  type Server,
} from 'node:net'
import { RootlingError } from '../errors.ts'
import { dropRemotePeers } from './drop-remote-peers.ts'

interface ListenOptions {
  /**
   * The descriptor of a socket that a service manager bound (src/server/inherited.ts): the server
   * listens there, and host and port are for errors alone.
   */
  readonly descriptor?: number | undefined
  readonly system?: NodeJS.Platform
}

/**
 * Starts listening, and returns the address. Throws `port-in-use` or `listen-failed`, whose hints name the
 * option of the command that says which port.
 */
export async function listen(
  server: Server,
  host: string,
  port: number,
  option = 'port',
  { descriptor, system = process.platform }: ListenOptions = {},
): Promise<AddressInfo> {
  if (descriptor !== undefined) return listenOnDescriptor(server, descriptor)
  try {
    return await startListening(server, { host, port, exclusive: true })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (system === 'darwin' && code === 'EACCES' && isLoopbackAddress(host))
      return listenOnEveryAddress(server, host, port, option)
    throw listenError(cause as NodeJS.ErrnoException, { host, port, option })
  }
}

async function startListening(
  server: Server,
  where: ServerListenOptions | { readonly fd: number },
): Promise<AddressInfo> {
  const listening = once(server, 'listening')
  server.listen(where)
  await listening
  return server.address() as AddressInfo
}

async function listenOnDescriptor(server: Server, fd: number): Promise<AddressInfo> {
  try {
    const address: AddressInfo | null = await startListening(server, { fd })
    if (address !== null) return address
    server.close()
    throw new Error('it is no socket of TCP')
  } catch (cause) {
    const sentence = `The inherited descriptor ${fd} cannot be listened on: ${(cause as Error).message}.`
    throw new RootlingError('listen-failed', sentence, { cause })
  }
}

const isLoopbackAddress = (host: string): boolean => host === '127.0.0.1' || host === '::1'

/**
 * Listens on every address of one family, and drops whoever does not come over loopback. Since macOS
 * 10.14 a user may bind a port below 1024 so, but not on a loopback address. The address that was
 * asked for is returned.
 */
async function listenOnEveryAddress(
  server: Server,
  host: string,
  port: number,
  option: string,
): Promise<AddressInfo> {
  dropRemotePeers(server)
  const everywhere = isIPv6(host) ? '::' : '0.0.0.0'
  try {
    const where = { host: everywhere, port, exclusive: true, ipv6Only: true }
    return { ...(await startListening(server, where)), address: host }
  } catch (cause) {
    throw listenError(cause as NodeJS.ErrnoException, { host, port, option })
  }
}

interface Listening {
  readonly port: number
  close(): Promise<void>
}

/** How often two addresses are tried with a port that was free on the first. */
const freePortTries = 10

/**
 * Listens on both loopback addresses, since `localhost` may be either, on the same port; 0 takes one
 * that is free on both. On a machine without IPv6 only 127.0.0.1 is used, and `onAlone` is called.
 * When ::1 fails for another reason, 127.0.0.1 is closed again. Throws what `start` throws.
 */
export async function listenOnLoopback<T extends Listening>(
  port: number,
  start: (host: string, port: number) => Promise<T>,
  onAlone: () => void,
): Promise<readonly [T, ...T[]]> {
  for (let tries = 1; ; tries++) {
    const first = await start('127.0.0.1', port)
    try {
      return [first, await start('::1', first.port)]
    } catch (error) {
      const { code = '' } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException
      if (code === 'EADDRNOTAVAIL' || code === 'EAFNOSUPPORT') {
        onAlone()
        return [first]
      }
      await first.close()
      if (port !== 0 || code !== 'EADDRINUSE' || tries === freePortTries) throw error
    }
  }
}

/** Returns `127.0.0.1:8443`, or `[::1]:8443` for IPv6. */
export function hostPort(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

/** Whether another port or address might be had in place of the one that could not. */
export const isListenError = (error: unknown): error is RootlingError =>
  error instanceof RootlingError && ['port-in-use', 'listen-failed'].includes(error.code)

function listenError(
  cause: NodeJS.ErrnoException,
  { host, port, option }: { host: string; port: number; option: string },
): RootlingError {
  const where = hostPort(host, port)
  switch (cause.code ?? '') {
    case 'EADDRINUSE':
      return new RootlingError('port-in-use', `Another program already listens on ${where}.`, {
        hint: `--${option} ${port < 65_535 ? port + 1 : 8443}`,
        cause,
      })
    case 'EACCES': {
      const why = port < 1024 ? ': ports below 1024 are reserved' : ''
      const sentence = `This user may not listen on ${where}${why}.`
      return new RootlingError('listen-failed', sentence, { hint: `--${option} 8443`, cause })
    }
    case 'EADDRNOTAVAIL':
      return new RootlingError('listen-failed', `This machine has no address ${host}.`, {
        hint: '--host 127.0.0.1',
        cause,
      })
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new RootlingError('listen-failed', `The name ${host} has no address.`, {
        hint: '--host 127.0.0.1',
        cause,
      })
    default:
      return new RootlingError('listen-failed', `Cannot listen on ${where}: ${cause.message}.`, {
        cause,
      })
  }
}
