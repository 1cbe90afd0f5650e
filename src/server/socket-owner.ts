import { readFile } from 'node:fs/promises'
import { endianness } from 'node:os'
import { ipBytes, unmapped } from '../x509/ip.ts'

/*
 * Which users own sockets of this machine. Linux tells that in /proc/net/tcp and /proc/net/tcp6
 * (proc_pid_net(5)), for the sockets of all users. Node can ask other systems for no such thing, so
 * there the functions return `null`.
 */

/** The addresses and ports of a TCP connection, as a socket of `node:net` has them. */
export interface Connection {
  readonly localAddress?: string | undefined
  readonly localPort?: number | undefined
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
}

/** The states in which a process holds the socket. Later the kernel shows a closed one as root's. */
const open = new Set(['01', '08'])
const listening = new Set(['0A'])

/**
 * Returns the users who own the other end of a connection: one user, or none when the other end is
 * closed or on another machine; `null`: this system does not tell.
 */
export async function peerUsers(connection: Connection): Promise<readonly number[] | null> {
  const { localAddress = '', localPort = 0, remoteAddress = '', remotePort = 0 } = connection
  const theirs = new Set(forms(remoteAddress).map((form) => endpoint(form, remotePort)))
  const ours = new Set(forms(localAddress).map((form) => endpoint(form, localPort)))
  return usersOf(
    (socket) => open.has(socket.state) && theirs.has(socket.local) && ours.has(socket.remote),
  )
}

/**
 * Returns the users whose sockets listen at an address, or at all addresses; `null`: this system
 * does not tell.
 */
export async function listeningUsers(
  address: string,
  port: number,
): Promise<readonly number[] | null> {
  const wildcards = ipBytes(address).length === 4 ? ['0.0.0.0', '::'] : ['::']
  const places = new Set([...forms(address), ...wildcards].map((form) => endpoint(form, port)))
  return usersOf(({ state, local }) => listening.has(state) && places.has(local))
}

/** Returns the lowest port at which users without privileges may listen. */
export async function firstFreePort(): Promise<number> {
  if (process.platform !== 'linux') return 1024
  const text = await readFile('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8').catch(
    () => '',
  )
  return /^\d+\n$/.test(text) ? Number(text) : 1024
}

interface Socket {
  readonly local: string
  readonly remote: string
  readonly state: string
}

async function usersOf(isMeant: (socket: Socket) => boolean): Promise<readonly number[] | null> {
  if (process.platform !== 'linux') return null
  const users: number[] = []
  try {
    // A socket of IPv6 may serve IPv4 too, so both tables are read.
    for (const table of [await readTable('tcp'), await readTable('tcp6')])
      for (const line of table) {
        const [, local = '', remote = '', state = '', , , , uid = ''] = line.trim().split(/\s+/)
        if (isMeant({ local, remote, state })) users.push(Number(uid))
      }
  } catch {
    return null
  }
  return users
}

async function readTable(name: 'tcp' | 'tcp6'): Promise<string[]> {
  try {
    return (await readFile(`/proc/net/${name}`, 'latin1')).split('\n').slice(1, -1)
  } catch (error) {
    // A kernel without IPv6 has no tcp6.
    if (name === 'tcp6') return []
    throw error
  }
}

/** Returns an address and, for one of IPv4, its form in sockets of IPv6. */
function forms(address: string): string[] {
  const plain = unmapped(address).replace(/%.*$/, '')
  if (plain === '') return []
  return ipBytes(plain).length === 4 ? [plain, `::ffff:${plain}`] : [plain]
}

/** Writes an address and a port as the tables do: words of four octets in the machine's order. */
function endpoint(address: string, port: number): string {
  const octets = Buffer.from(ipBytes(address))
  if (endianness() === 'LE') octets.swap32()
  const hex = (text: string): string => text.toUpperCase()
  return `${hex(octets.toString('hex'))}:${hex(port.toString(16).padStart(4, '0'))}`
}
