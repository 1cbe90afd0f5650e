import type { TLSSocket } from 'node:tls'
import type { Handler, Request, Response } from './http.ts'
import { tooManyHeaders, type ServerLimits } from './limits.ts'
import type { ClientGate, ClientRefusal } from './mutual-tls.ts'

export interface AnswerOptions {
  readonly limits: ServerLimits
  readonly handler: Handler
  readonly clients: ClientGate | undefined
  readonly onRefused: (refusal: ClientRefusal, remoteAddress: string) => void
  /** Called with the error when the handler throws; the client gets 500. */
  readonly onHandlerError?: ((error: unknown) => void) | undefined
}

/**
 * Answers one request: 431 for too many headers, 500 for a handler that throws. The connection of a
 * client that the gate no longer lets in ends without an answer.
 */
export async function answer(
  request: Request,
  response: Response,
  options: AnswerOptions,
): Promise<void> {
  const { limits, handler, clients, onRefused, onHandlerError } = options
  // Checked for HTTP/2 too: node:http2 enforces its limits only once the client has read the
  // server's SETTINGS, and the client may send requests before that.
  if (tooLarge(request, limits)) {
    response.statusCode = 431
    response.end()
    return
  }
  try {
    const socket = request.socket as TLSSocket
    const refusal = (await clients?.recheck(socket)) ?? null
    if (refusal !== null) {
      onRefused(refusal, socket.remoteAddress ?? '')
      // The socket of an HTTP/2 request is a proxy: destroying it would end one stream, not the
      // connection.
      if ('stream' in request) request.stream.session?.destroy()
      else socket.destroy()
      return
    }
    await handler(request, response)
  } catch (error) {
    onHandlerError?.(error)
    if (response.headersSent) {
      response.destroy()
      return
    }
    response.statusCode = 500
    response.setHeader('Content-Type', 'text/plain; charset=utf-8')
    response.end('Internal server error.\n')
  }
}

type Head = Readonly<Pick<Request, 'httpVersionMajor'>> & { readonly rawHeaders: readonly string[] }

/** Whether the headers of a request are more, or larger, than the limits allow. */
export const tooLarge = (request: Head, limits: ServerLimits): boolean =>
  headerSize(request) > limits.headerBytes || tooManyHeaders(request, limits)

/**
 * Returns the size of an HTTP/2 request's headers, counted as in RFC 9113 §6.5.2. Returns 0 for
 * HTTP/1, whose headers node:http has limited itself.
 */
function headerSize({ httpVersionMajor, rawHeaders }: Head): number {
  if (httpVersionMajor === 1) return 0
  return rawHeaders.reduce((sum, text) => sum + text.length + 16, 0)
}
