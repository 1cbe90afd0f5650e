import type { Socket } from 'node:net'
import type { Exchange } from './exchange.ts'

/** The requests that a server is answering. */
export interface RequestsInFlight {
  add(exchange: Exchange): void
  /** The connections that these requests came in on. */
  sockets(): ReadonlySet<Socket>
  /** Closes each HTTP/1 connection after its answer from now on; a header of the answer says so. */
  closeAfterAnswers(): void
}

export function trackRequests(): RequestsInFlight {
  const answering = new Set<Exchange>()
  let closing = false
  return {
    add(exchange) {
      answering.add(exchange)
      exchange.onceClosed(() => {
        answering.delete(exchange)
        if (closing && exchange.closesConnection) exchange.socket.destroySoon()
      })
      if (closing) exchange.announceClose()
    },
    sockets: () => new Set([...answering].map(({ socket }) => socket)),
    closeAfterAnswers() {
      closing = true
      for (const exchange of answering) exchange.announceClose()
    },
  }
}
