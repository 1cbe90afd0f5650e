import type { Server, Socket } from 'node:net'
import { ipBytes, isIP, unmapped } from '../x509/ip.ts'
import type { Exchange } from './exchange.ts'
import type { ServerLimits } from './limits.ts'
import { connectionOf } from './peer.ts'

/** The open connections of a server, whose number is limited. */
export interface Connections {
  /** Notes that a request is being answered: its connection is not closed meanwhile. */
  answering(exchange: Exchange): void
  /**
   * Counts a balancer's connection to the share of this client, as whose the balancer forwards it.
   * `false`: the connection was closed, since that share is used up.
   */
  forwarded(socket: Socket, address: string): boolean
}

interface Connection {
  readonly socket: Socket
  /** Whose share of the connections it counts to; `null`: nobody's. */
  owner: string | null
  readonly answers: Set<Exchange>
  /** When its client was first seen to leave an answer unread; `null`: it has read everything. */
  blocked: Progress | null
  /** The beginning of the time over which the rate of its client is measured next. */
  measured: Progress | null
}

/** How many octets had been sent at a time. */
interface Progress {
  readonly at: number
  readonly octets: number
}

/**
 * Keeps at most `connections` connections open, and `connectionsPerAddress` of one other machine.
 * One more closes the connection that has gone longest without a whole request, or else the one
 * whose client reads its answer most slowly; if all are busy, the new one is closed. Node's
 * `maxConnections` would always turn the new one away, so that connections which do nothing would
 * lock everybody out. Also closes connections whose clients read more slowly than
 * `leastBytesPerSecond`. A balancer has no share of its own.
 */
export function limitConnections(
  server: Server,
  limits: ServerLimits,
  isBalancer: (address: string) => boolean = () => false,
): Connections {
  // The connections in the order of their last request. They are found by address, since the TLS
  // socket of a request is another object than the TCP socket below it.
  const open = new Map<string, Connection>()

  server.on('connection', (socket: Socket) => {
    const key = connectionOf(socket)
    const address = socket.remoteAddress ?? ''
    const owner = isBalancer(address) ? null : ownerOf(address)
    if (key === null || !makeRoom(owner)) {
      socket.destroy()
      return
    }
    open.set(key, { socket, owner, answers: new Set(), blocked: null, measured: null })
    socket.once('close', () => {
      if (open.get(key)?.socket === socket) open.delete(key)
    })
  })

  /** Whether one more connection of this owner may be opened, after one was closed if need be. */
  function makeRoom(owner: string | null): boolean {
    const own = ofOwner(owner)
    if (own.length >= limits.connectionsPerAddress) return closeOne(own)
    return open.size < limits.connections || closeOne([...open])
  }

  const ofOwner = (owner: string | null): [string, Connection][] =>
    owner === null ? [] : [...open].filter(([, one]) => one.owner === owner)

  function closeOne(among: readonly [string, Connection][]): boolean {
    const given = among.find(([, one]) => isUnused(one)) ?? slowest(among)
    if (given === null) return false
    open.delete(given[0])
    given[1].socket.destroy()
    return true
  }

  function slowest(among: readonly [string, Connection][]): [string, Connection] | null {
    const now = performance.now()
    let found: [string, Connection] | null = null
    let least = limits.slowBytesPerSecond
    for (const each of among) {
      const { blocked, socket } = each[1]
      if (blocked === null || now - blocked.at < limits.graceMilliseconds) continue
      const rate = rateSince(blocked, now, socket)
      if (
        rate < least ||
        (rate === least && found?.[1].blocked && blocked.at < found[1].blocked.at)
      )
        [least, found] = [rate, each]
    }
    return found
  }

  // Twice the idle time: of a client on this machine, a system takes four megabytes at once, and
  // the next ones only after a minute when the client reads 20 kilobytes a second.
  const period = 2 * limits.idleMilliseconds
  const timer = setInterval(
    () => {
      const now = performance.now()
      for (const connection of open.values()) measure(connection, now)
    },
    Math.min(1_000, limits.graceMilliseconds / 4, period / 8),
  )
  timer.unref()
  server.once('close', () => clearInterval(timer))

  function measure(connection: Connection, now: number): void {
    const { socket, blocked, measured } = connection
    const progress = { at: now, octets: socket.bytesWritten }
    if (![...connection.answers].some((exchange) => exchange.isUnread())) {
      connection.blocked = connection.measured = null
    } else if (blocked === null || measured === null) {
      connection.blocked = connection.measured = progress
    } else if (now - measured.at >= period) {
      if (rateSince(measured, now, socket) < limits.leastBytesPerSecond) socket.destroy()
      // From now on, the rate over the last period and what follows counts.
      connection.blocked = measured
      connection.measured = progress
    }
  }

  return {
    answering(exchange) {
      const key = connectionOf(exchange.socket)
      const connection = open.get(key ?? '')
      if (key === null || connection === undefined) return
      open.delete(key)
      open.set(key, connection)
      connection.answers.add(exchange)
      exchange.onceClosed(() => connection.answers.delete(exchange))
    },
    forwarded(socket, address) {
      const connection = open.get(connectionOf(socket) ?? '')
      if (connection?.socket !== socket) return false
      const owner = ownerOf(address)
      const own = ofOwner(owner)
      if (own.length >= limits.connectionsPerAddress && !closeOne(own)) {
        socket.destroy()
        return false
      }
      connection.owner = owner
      return true
    },
  }
}

/** In octets a second. */
const rateSince = ({ at, octets }: Progress, now: number, socket: Socket): number =>
  (1_000 * (socket.bytesWritten - octets)) / Math.max(1, now - at)

/**
 * Returns the address of another machine, or the first half of its IPv6 address, since a machine
 * has as many addresses as it likes with that half. Returns `null` for an address of this machine,
 * which all of its programs share.
 */
function ownerOf(remoteAddress: string): string | null {
  const address = unmapped(remoteAddress).replace(/%.*$/, '')
  if (address === '::1' || address.startsWith('127.') || isIP(address) === 0) return null
  return ipBytes(address).subarray(0, 8).toString('hex')
}

/** A request whose body is still coming in does not count: the body may never end. */
const isUnused = ({ answers }: Connection): boolean =>
  ![...answers].some((exchange) => exchange.isWhole())
