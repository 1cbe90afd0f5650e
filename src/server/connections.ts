import type { Server, Socket } from 'node:net'
import type { Request, Response } from './http.ts'

/** The open connections of a server, whose number is limited. */
export interface Connections {
  /** Notes that a request is being answered: its connection is not closed meanwhile. */
  answering(request: Request, response: Response): void
}

/**
 * Keeps at most `most` connections open. One more closes the connection that has gone longest
 * without a whole request; if all are busy, the new one is closed. Node's `maxConnections` would
 * always turn the new one away, so that connections which do nothing would lock everybody out.
 */
export function limitConnections(server: Server, most: number): Connections {
  // The connections in the order of their last request. They are found by address, since the TLS
  // socket of a request is another object than the TCP socket below it.
  const open = new Map<string, Socket>()
  const busy = new Map<string, Set<Request>>()

  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket)
    if (peer === null || (open.size >= most && !makeRoom())) {
      socket.destroy()
      return
    }
    open.set(peer, socket)
    socket.once('close', () => {
      if (open.get(peer) === socket) open.delete(peer)
    })
  })

  function makeRoom(): boolean {
    for (const [peer, socket] of open) {
      // A request whose body is still coming in does not count as busy: the body may never end.
      if ([...(busy.get(peer) ?? [])].some(isWhole)) continue
      open.delete(peer)
      socket.destroy()
      return true
    }
    return false
  }

  return {
    answering(request, response) {
      const peer = peerOf(request.socket)
      const socket = open.get(peer ?? '')
      if (peer === null || socket === undefined) return
      open.delete(peer)
      open.set(peer, socket)
      const requests = busy.get(peer) ?? new Set()
      busy.set(peer, requests.add(request))
      response.once('close', () => {
        requests.delete(request)
        if (requests.size === 0 && busy.get(peer) === requests) busy.delete(peer)
      })
    },
  }
}

/** Returns the address and port of the client; `null` when the socket is closed already. */
function peerOf({ remoteAddress, remotePort }: Socket): string | null {
  return remotePort === undefined ? null : `${remoteAddress} ${remotePort}`
}

const isWhole = (request: Request): boolean =>
  'stream' in request ? request.stream.endAfterHeaders || request.complete : request.complete
