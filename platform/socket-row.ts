import { isIP } from 'node:net'

/** A TCP socket of this machine, and the user who owns it: a uid, or on Windows a SID. */
export interface SocketRow {
  readonly localAddress: string
  readonly remoteAddress: string
  readonly user: number | string
}

/** A process that listens at a port. */
export interface ListeningProcess {
  /** For any address `0.0.0.0` or `::`. */
  readonly address: string
  readonly pid: number
  readonly program: string
}

/** Makes a row of what a program printed; none when the addresses are none. */
export function createSocketRow(
  localAddress: string,
  remoteAddress: string,
  user: number | string,
): SocketRow[] {
  const valid = [localAddress, remoteAddress].every((address) => isIP(address) !== 0)
  return valid ? [{ localAddress, remoteAddress, user }] : []
}
