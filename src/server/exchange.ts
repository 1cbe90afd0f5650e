import type { IncomingMessage, ServerResponse } from 'node:http'
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Request, Response } from './http.ts'

/**
 * Takes requests as Node's protocols give them, in place of a handler: over HTTP/1 with upgrades and
 * CONNECT, over HTTP/2 by the core API, which costs half as much as the one that resembles HTTP/1.
 */
export interface RequestTaker {
  /** Is also given requests with `Expect: 100-continue`, which it must answer itself. */
  http1(request: IncomingMessage, response: ServerResponse): void
  /** The head of the request and what came after it, on a connection that is now the taker's. */
  upgrade(request: IncomingMessage, socket: TLSSocket, head: Buffer): void
  http2(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    rawHeaders: readonly string[],
    socket: TLSSocket,
  ): void
}

/** A request that is being answered, or a connection that an upgrade took over. */
export interface Exchange {
  readonly socket: Socket
  /** Whether all of the request has come in. */
  isWhole(): boolean
  /** Whether a part of the answer waits for its client to read what comes before it. */
  isUnread(): boolean
  /** Says in an HTTP/1 answer that the connection closes after it. */
  announceClose(): void
  /** Whether the connection has to be closed after this exchange, while the server closes. */
  readonly closesConnection: boolean
  onceClosed(listener: () => void): void
}

export function exchangeOf(request: Request, response: Response): Exchange {
  return new MessageExchange(request, response)
}

export function exchangeOfStream(stream: ServerHttp2Stream, socket: Socket): Exchange {
  return new StreamExchange(stream, socket)
}

export function exchangeOfUpgrade(socket: Socket): Exchange {
  return {
    socket,
    isWhole: () => true,
    isUnread: () => socket.writableLength > 0,
    announceClose() {},
    closesConnection: true,
    onceClosed: (listener) => void socket.once('close', listener),
  }
}

// One is made for each request: closures for all of its methods would cost more than the rest of it.

class MessageExchange implements Exchange {
  readonly socket: Socket
  readonly closesConnection: boolean
  readonly #request: Request
  readonly #response: Response

  constructor(request: Request, response: Response) {
    this.socket = request.socket
    this.closesConnection = request.httpVersionMajor === 1
    this.#request = request
    this.#response = response
  }

  /** A request whose body is still coming in does not count: the body may never end. */
  isWhole(): boolean {
    const request = this.#request
    return 'stream' in request
      ? request.stream.endAfterHeaders || request.complete
      : request.complete
  }

  isUnread(): boolean {
    const response = this.#response
    return 'stream' in response ? response.stream.writableLength > 0 : response.writableLength > 0
  }

  announceClose(): void {
    // HTTP/2 announces the end with GOAWAY instead, and forbids this header (RFC 9113 §8.2.2).
    const response = this.#response
    if (this.closesConnection && !response.headersSent) response.setHeader('Connection', 'close')
  }

  onceClosed(listener: () => void): void {
    this.#response.once('close', listener)
  }
}

class StreamExchange implements Exchange {
  readonly socket: Socket
  readonly closesConnection = false
  readonly #stream: ServerHttp2Stream

  constructor(stream: ServerHttp2Stream, socket: Socket) {
    this.socket = socket
    this.#stream = stream
  }

  isWhole(): boolean {
    return this.#stream.endAfterHeaders || this.#stream.readableEnded
  }

  isUnread(): boolean {
    return this.#stream.writableLength > 0
  }

  announceClose(): void {}

  onceClosed(listener: () => void): void {
    this.#stream.once('close', listener)
  }
}

/** Takes over the connection of an HTTP/1.1 `Upgrade` request. */
export type UpgradeListener = (request: IncomingMessage, socket: Duplex, head: Buffer) => void
