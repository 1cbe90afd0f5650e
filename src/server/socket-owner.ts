import { ipBytes } from '../x509/ip.ts'

/** A user of this machine: on Linux and macOS the uid, on Windows the SID. */
export type User = number | string

/** A TCP socket of this machine. */
export interface OwnedSocket {
  readonly localAddress: string
  /** Any text, for a socket that listens. */
  readonly remoteAddress: string
  readonly user: User
}

/**
 * Finds TCP sockets of this machine, of all users, with the users who own them. Each operating
 * system has its own: Linux's is in `linux-sockets.ts`, the others' in `platform`. The methods
 * throw where the system gives no answer.
 */
export interface SocketFinder {
  /** Returns sockets of connections between these ports, as long as a process holds them. */
  connections(localPort: number, remotePort: number): Promise<readonly OwnedSocket[]>
  /**
   * Returns the sockets that listen at a port and may have the connections to an address, and maybe
   * others. For any address they have `0.0.0.0` or `::`.
   */
  listeners(port: number, address: string): Promise<readonly OwnedSocket[]>
  /** Returns the lowest port at which users without privileges may listen. */
  firstFreePort(): Promise<number>
}

/** The addresses and ports of a TCP connection, as a socket of `node:net` has them. */
export interface Connection {
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}

/**
 * Whose a socket is: `ours`, `foreign` (of another user), `nobody's` (there is none on this
 * machine), or `unknown` (the system does not tell).
 */
type Whose = 'ours' | 'foreign' | "nobody's" | 'unknown'

/** Tells sockets of ours from those of other users of this machine. */
export interface SocketOwners {
  /** Whose the other end of a connection is. */
  ofPeer(connection: Connection): Promise<Whose>
  /** Whose the servers are that answer at an address: `ours` only when all of them are. */
  ofListener(address: string, port: number): Promise<Whose>
  /** Returns the lowest port at which users without privileges may listen. */
  firstFreePort(): Promise<number>
}

/** Tells sockets of the users named as `ours` from all others. */
export function createSocketOwners(finder: SocketFinder, ours: readonly User[]): SocketOwners {
  const isOurs = ({ user }: OwnedSocket): boolean => ours.includes(user)
  return {
    async ofPeer({ localAddress = '', localPort = 0, remoteAddress = '', remotePort = 0 }) {
      if (localAddress === '' || remoteAddress === '') return "nobody's"
      // The peer's own socket has the same addresses the other way round.
      const found = await finder.connections(remotePort, localPort).catch(() => null)
      const peers = found?.filter(
        (socket) =>
          isSame(socket.localAddress, remoteAddress) && isSame(socket.remoteAddress, localAddress),
      )
      return whose(peers, (all) => all.some(isOurs))
    },
    async ofListener(address, port) {
      const found = await finder.listeners(port, address).catch(() => null)
      const wildcards = octetsOf(address).length === 4 ? ['0.0.0.0', '::'] : ['::']
      const servers = found?.filter(({ localAddress }) =>
        [address, ...wildcards].some((one) => isSame(localAddress, one)),
      )
      return whose(servers, (all) => all.every(isOurs))
    },
    firstFreePort: () => finder.firstFreePort(),
  }
}

function whose(
  sockets: readonly OwnedSocket[] | undefined,
  areOurs: (all: readonly OwnedSocket[]) => boolean,
): Whose {
  if (sockets === undefined) return 'unknown'
  if (sockets.length === 0) return "nobody's"
  return areOurs(sockets) ? 'ours' : 'foreign'
}

/** Whether two texts are one address, apart from its zone. */
const isSame = (one: string, other: string): boolean => octetsOf(one).equals(octetsOf(other))

/** The octets of an address; of an IPv4 address in a socket of IPv6 only its own four. */
function octetsOf(address: string): Buffer {
  const octets = ipBytes(address.replace(/%.*$/, ''))
  return octets.subarray(0, mapped.length).equals(mapped) ? octets.subarray(mapped.length) : octets
}

const mapped = ipBytes('::ffff:0.0.0.0').subarray(0, 12)
