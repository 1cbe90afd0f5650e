import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Request, Response } from './http.ts'

/** The requests that a server is answering. */
export interface RequestsInFlight {
  add(request: Request, response: Response): void
  /** The connections that these requests came in on. */
  sockets(): ReadonlySet<Socket>
  /** Closes each HTTP/1 connection after its answer from now on; a header of the answer says so. */
  closeAfterAnswers(): void
}

export function trackRequests(): RequestsInFlight {
  const answering = new Map<Response, TLSSocket>()
  let closing = false
  return {
    add(request, response) {
      const socket = request.socket as TLSSocket
      answering.set(response, socket)
      response.once('close', () => {
        answering.delete(response)
        if (closing && request.httpVersionMajor === 1) socket.destroySoon()
      })
      if (closing) announceClose(response)
    },
    sockets: () => new Set(answering.values()),
    closeAfterAnswers() {
      closing = true
      for (const response of answering.keys()) announceClose(response)
    },
  }
}

function announceClose(response: Response): void {
  // HTTP/2 announces the end with GOAWAY instead, and forbids this header (RFC 9113 §8.2.2).
  if (response.req.httpVersionMajor === 1 && !response.headersSent)
    response.setHeader('Connection', 'close')
}
