import { readFile } from 'node:fs/promises'
import { endianness } from 'node:os'
import { ipText } from '../x509/ip.ts'
import type { OwnedSocket, SocketFinder } from './socket-owner.ts'

/**
 * Finds sockets in /proc/net/tcp and /proc/net/tcp6 (proc_pid_net(5)), in which Linux lists those of
 * all users.
 */
export const linuxSockets: SocketFinder = {
  connections: (localPort, remotePort) =>
    socketsWhere(
      (socket) =>
        held.has(socket.state) &&
        socket.local.port === localPort &&
        socket.remote.port === remotePort,
    ),
  listeners: (port) =>
    socketsWhere(({ state, local }) => state === listening && local.port === port),
  async firstFreePort() {
    const file = '/proc/sys/net/ipv4/ip_unprivileged_port_start'
    const text = await readFile(file, 'utf8').catch(() => '')
    return /^\d+\n$/.test(text) ? Number(text) : 1024
  },
}

/** The states in which a process holds the socket. Later the kernel shows a closed one as root's. */
const held = new Set(['01', '08'])
const listening = '0A'

interface Endpoint {
  readonly address: string
  readonly port: number
}

interface Row {
  readonly local: Endpoint
  readonly remote: Endpoint
  readonly state: string
}

async function socketsWhere(isMeant: (row: Row) => boolean): Promise<OwnedSocket[]> {
  const found: OwnedSocket[] = []
  // A socket of IPv6 may serve IPv4 too, so both tables are read.
  for (const table of [await readTable('tcp'), await readTable('tcp6')])
    for (const line of table) {
      const [, local = '', remote = '', state = '', , , , uid = ''] = line.trim().split(/\s+/)
      const row = { local: readEndpoint(local), remote: readEndpoint(remote), state }
      if (!isMeant(row)) continue
      const [localAddress, remoteAddress] = [row.local.address, row.remote.address]
      found.push({ localAddress, remoteAddress, user: Number(uid) })
    }
  return found
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

/** Reads an address and a port, in hexadecimal: words of four octets in the machine's order. */
function readEndpoint(text: string): Endpoint {
  const [address = '', port = ''] = text.split(':')
  const octets = Buffer.from(address, 'hex')
  if (endianness() === 'LE') octets.swap32()
  return { address: ipText(octets), port: Number.parseInt(port, 16) }
}
