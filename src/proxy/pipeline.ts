import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** How many requests may wait on one connection; browsers send one after the other. */
const mostWaiting = 16

interface Pipeline {
  readonly waiting: (() => void)[]
}

/**
 * Lets each HTTP/1 connection have one request under way. A client may send further ones before it has
 * the answer (pipelining, RFC 9112 §9.3.2); node:http would begin all of them at once, and not say when
 * the client of one that waits goes away.
 */
export interface Pipelines {
  /** Calls `begin` once the answers to the earlier requests of this connection were sent. */
  take(socket: Socket, response: ServerResponse, begin: () => void): void
  /** Whether a request of this connection is under way. */
  isBusy(socket: Socket): boolean
}

export function createPipelines(): Pipelines {
  const busy = new WeakMap<Socket, Pipeline>()

  function start(socket: Socket, response: ServerResponse, begin: () => void): void {
    response.once('close', () => {
      const next = busy.get(socket)?.waiting.shift()
      if (next === undefined) busy.delete(socket)
      else if (!socket.destroyed) next()
    })
    begin()
  }

  return {
    take(socket, response, begin) {
      const pipeline = busy.get(socket)
      if (pipeline === undefined) {
        busy.set(socket, { waiting: [] })
        start(socket, response, begin)
      } else if (pipeline.waiting.length < mostWaiting)
        pipeline.waiting.push(() => start(socket, response, begin))
      else socket.destroy()
    },
    isBusy: (socket) => busy.has(socket),
  }
}
