import type { Socket } from 'node:net'

/** The address, without brackets or zone, and the port of a client. */
export interface Peer {
  readonly address: string
  readonly port: number
}

const key = Symbol('the TCP connection below a socket whose client a balancer named')

type MarkedSocket = Socket & { [key]?: string | null }

/**
 * Returns a text that only this TCP connection has, and the TLS socket above it too, which is another
 * object: the addresses and ports of both its ends. `null`: the socket is closed already.
 */
export function connectionOf(socket: Socket): string | null {
  const marked = socket as MarkedSocket
  if (marked[key] !== undefined) return marked[key]
  const { localAddress, localPort, remoteAddress, remotePort } = socket
  if (remotePort === undefined) return null
  // Kept, since it is asked for with each request.
  return (marked[key] = [localAddress, localPort, remoteAddress, remotePort].join(' '))
}

/**
 * Makes a socket say that it comes from this client, and no longer from the balancer that forwards
 * the connection, in `remoteAddress`, `remoteFamily` and `remotePort`.
 */
export function showPeer(socket: Socket, { address, port }: Peer): void {
  // Two balancers may forward connections that began at the same address and port.
  const connection = connectionOf(socket)
  const constant = (value: unknown): PropertyDescriptor => ({ value, configurable: true })
  Object.defineProperties(socket, {
    [key]: constant(connection),
    remoteAddress: constant(address),
    remoteFamily: constant(address.includes(':') ? 'IPv6' : 'IPv4'),
    remotePort: constant(port),
  })
}
