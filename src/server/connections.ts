import type { Server, Socket } from 'node:net'
import type { Request, Response } from './http.ts'

/** The open connections of a server, at most so many. */
export interface Connections {
  /** Notes that a request is answered, so that its connection is not closed meanwhile. */
  answering(request: Request, response: Response): void
}

/**
 * Bounds the connections of a server without `maxConnections`, which turns the new one away: those that do nothing
 * would lock everybody out. In its place the one goes that has been without a whole request for longest.
 */
export function limitConnections(server: Server, most: number): Connections {
  // In the order of their last request; a TLS socket has the addresses of the one below it.
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
      // A body that still comes in is no reason to wait: it may come in for ever.
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

/** `null`: gone already. */
function peerOf({ remoteAddress, remotePort }: Socket): string | null {
  return remotePort === undefined ? null : `${remoteAddress} ${remotePort}`
}

const isWhole = (request: Request): boolean =>
  'stream' in request ? request.stream.endAfterHeaders || request.complete : request.complete
