import { closeSync, openSync, read, readSync } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { isIPv6 } from 'node:net'
import { endianness } from 'node:os'
import { basename } from 'node:path'
import { promisify } from 'node:util'
import { printable } from '../printable.ts'
import { ipText } from '../x509/ip.ts'
import type { OwnedSocket, SocketFinder } from './socket-owner.ts'

/**
 * Finds sockets in /proc/net/tcp and /proc/net/tcp6 (proc_pid_net(5)), in which Linux lists those of
 * all users.
 */
export const linuxSockets: SocketFinder = {
  connections: (localPort, remotePort) => {
    const [local, remote] = [hexPort(localPort), hexPort(remotePort)]
    return socketsWhere((row) => held.has(row.state) && ends(row, local, remote))
  },
  async listeners(port, address) {
    // A socket of IPv6 may serve IPv4 too, under the mapped address.
    const isOnly6 = isIPv6(address) && !/^::ffff:/i.test(address)
    return listenersIn(isOnly6 ? ['tcp6'] : tables, port)
  },
  async firstFreePort() {
    if (performance.now() > firstFree.until)
      firstFree = { port: readFirstFreePort(), until: performance.now() + 1_000 }
    return firstFree.port
  },
}

/** The lowest port without privileges, which is read once a second: only root changes it. */
let firstFree = { port: Promise.resolve(1024), until: -1 }

async function readFirstFreePort(): Promise<number> {
  const file = '/proc/sys/net/ipv4/ip_unprivileged_port_start'
  const text = await readFile(file, 'utf8').catch(() => '')
  return /^\d+\n$/.test(text) ? Number(text) : 1024
}

/** The states in which a process holds the socket. Later the kernel shows a closed one as root's. */
const held = new Set(['01', '08'])
const listening = '0A'

/** A row as the tables have it: addresses and ports in hexadecimal, `0100007F:1F90`. */
interface Row {
  readonly local: string
  readonly remote: string
  readonly state: string
}

const hexPort = (port: number): string => `:${port.toString(16).toUpperCase().padStart(4, '0')}`
const ends = ({ local, remote }: Row, localPort: string, remotePort: string): boolean =>
  local.endsWith(localPort) && remote.endsWith(remotePort)

/** A socket that listens, and the processes that hold it. */
interface HeldSocket extends OwnedSocket {
  /** Empty: they are processes of another user, which only root may look into. */
  readonly processes: readonly { readonly pid: number; readonly program: string }[]
}

/** Returns the sockets that listen at a port, with the processes that hold them (proc_pid_fd(5)). */
export async function heldSockets(port: number): Promise<HeldSocket[]> {
  const found = await listenersIn(tables, port)
  if (found.length === 0) return []
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number)
  const holding = new Map<number, readonly string[]>()
  for (const pid of pids) holding.set(pid, await socketInodesOf(pid))
  return Promise.all(
    found.map(async ({ inode, ...socket }) => {
      const holders = pids.filter((pid) => holding.get(pid)?.includes(inode))
      const named = holders.map(async (pid) => ({ pid, program: await nameOf(pid) }))
      return { ...socket, processes: await Promise.all(named) }
    }),
  )
}

/** Returns the inodes of the sockets that a process holds; none where it may not be looked into. */
async function socketInodesOf(pid: number): Promise<string[]> {
  const directory = `/proc/${pid}/fd`
  const descriptors = await readdir(directory).catch(() => [])
  const links = descriptors.map((name) => readlink(`${directory}/${name}`).catch(() => ''))
  return (await Promise.all(links)).flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? [])
}

/**
 * Returns the name of a process (proc_pid_comm(5)), or of its program where the name is the one that
 * Node gives its main thread from 24 on.
 */
async function nameOf(pid: number): Promise<string> {
  const name = (await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim()
  if (!/^(?:node-)?MainThread$/.test(name)) return printable(name)
  const program = await readlink(`/proc/${pid}/exe`).catch(() => 'node')
  return printable(basename(program.replace(/ \(deleted\)$/, '')))
}

type SocketWithInode = OwnedSocket & { readonly inode: string }

const tables = ['tcp', 'tcp6'] as const
type TableName = (typeof tables)[number]

async function socketsWhere(isMeant: (row: Row) => boolean): Promise<SocketWithInode[]> {
  const rows = await Promise.all(tables.map(readTable))
  return rows.flat().flatMap((text) => socketIn(text, isMeant) ?? [])
}

async function listenersIn(names: readonly TableName[], port: number): Promise<SocketWithInode[]> {
  const local = hexPort(port)
  const isMeant = (row: Row): boolean => row.state === listening && ends(row, local, '')
  const rows = await Promise.all(names.map(listeningRows))
  return rows.flat().flatMap((text) => socketIn(text, isMeant) ?? [])
}

/** Returns the socket of a row; `null`: it is not meant. */
function socketIn(text: string, isMeant: (row: Row) => boolean): SocketWithInode | null {
  const words = text.trim().split(/\s+/)
  const [, local = '', remote = '', state = '', , , , uid = '', , inode = ''] = words
  if (!isMeant({ local, remote, state })) return null
  const [localAddress, remoteAddress] = [readAddress(local), readAddress(remote)]
  return { localAddress, remoteAddress, user: Number(uid), inode }
}

/**
 * Returns the rows of sockets that listen, which Linux writes before all others (`tcp_seq_start` in
 * net/ipv4/tcp_ipv4.c). It writes a row when it is read, and before the first of a connection it looks
 * through a table of 262,144 places: to read on would take milliseconds, at each validation of ACME.
 * Throws where there are more rows than anybody needs.
 */
async function listeningRows(name: TableName): Promise<string[]> {
  const file = openTable(name)
  if (file === null) return []
  try {
    const octets = Buffer.alloc(manyRows)
    const rows: string[] = []
    let begun = ''
    for (let reads = 0; reads < mostReads; reads++) {
      // One by one, Linux finds its place again before each row, which many rows make slow.
      const length =
        reads < fewReads
          ? readSync(file, octets, 0, oneRow, null)
          : (await readLater(file, octets, 0, manyRows, null)).bytesRead
      if (length === 0) return rows.slice(1)
      const lines = `${begun}${octets.toString('latin1', 0, length)}`.split('\n')
      begun = lines.pop() ?? ''
      const isOther = (row: string, i: number): boolean =>
        rows.length + i > 0 && row.trim().split(/\s+/)[3] !== listening
      const end = lines.findIndex(isOther)
      rows.push(...(end === -1 ? lines : lines.slice(0, end)))
      if (end !== -1) return rows.slice(1)
    }
    throw new RangeError(`/proc/net/${name} has too many rows`)
  } finally {
    closeSync(file)
  }
}

const readLater = promisify(read)

/** The octets of a row of tcp. Rows of tcp6 are longer, and then come in two reads. */
const oneRow = 150
const fewReads = 64
const manyRows = 65_536
/** Four megabytes. */
const mostReads = 128

function openTable(name: TableName): number | null {
  try {
    return openSync(`/proc/net/${name}`, 'r')
  } catch (error) {
    // A kernel without IPv6 has no tcp6.
    if (name === 'tcp6') return null
    throw error
  }
}

async function readTable(name: TableName): Promise<string[]> {
  try {
    return (await readFile(`/proc/net/${name}`, 'latin1')).split('\n').slice(1, -1)
  } catch (error) {
    // A kernel without IPv6 has no tcp6.
    if (name === 'tcp6') return []
    throw error
  }
}

/** Reads the address of an address and a port: words of four octets in the machine's order. */
function readAddress(text: string): string {
  const octets = Buffer.from(text.slice(0, text.indexOf(':')), 'hex')
  if (endianness() === 'LE') octets.swap32()
  return ipText(octets)
}
