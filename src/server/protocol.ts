import type { Socket } from 'node:net'
import type { Request, Response } from './http.ts'
import type { ServerLimits } from './limits.ts'

/**
 * An HTTP/1 or HTTP/2 server behind the TLS server, which hands each secured connection to one of
 * them, or the one that redirects plain HTTP.
 */
export interface ProtocolServer {
  accept(socket: Socket): void
  /** Takes no new requests; answers that have begun go on. */
  close(): void
}

export interface ProtocolOptions {
  readonly limits: ServerLimits
  readonly handle: (request: Request, response: Response) => void
  readonly onConnectionError?: ((error: Error, remoteAddress: string) => void) | undefined
}

/** Whether an error is a TLS alert, with which a client says why it goes away. */
export function isAlert({ code }: NodeJS.ErrnoException): boolean {
  return /^ERR_SSL_\w*_ALERT_/.test(code ?? '')
}

/** Whether an error only means that the client went away, which says nothing about the server. */
export function isHangUp({ code }: NodeJS.ErrnoException): boolean {
  return code === 'ECONNRESET' || code === 'EPIPE'
}
