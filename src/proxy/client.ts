import type { Readable, Writable } from 'node:stream'

/** Names and values in turn, as Node's `rawHeaders`: duplicates and case are kept. */
export type RawFields = readonly string[]

/** How the end of a request's body is known. */
export type Framing = 'none' | 'length' | 'chunked'

/**
 * A request with the way to answer it. There is one kind for each version of HTTP, so that a forwarder
 * need not know which the client speaks.
 */
export interface ProxyClient {
  readonly method: string
  /** Host or `:authority`, as the client wrote it. */
  readonly authority: string
  readonly path: string
  readonly raw: RawFields
  readonly remoteAddress: string
  readonly framing: Framing
  /** The body; its trailers, if any, come with its end. */
  readonly body: Readable
  /** Where the body of the answer goes, once `respond` was called. */
  readonly sink: Writable
  /** Whether the client waits for 100 (Continue) before it sends its body. */
  readonly expectsContinue: boolean
  /** The status of the answer so far; `null`: none was sent. */
  readonly status: number | null
  /** The fields of the answer so far. */
  readonly answered: RawFields
  /** How many octets of the answer's body came so far; forwarders count them. */
  octets: number

  /** Sends an interim answer, except where the client cannot have one. */
  inform(status: number, fields: RawFields): void
  /**
   * Begins the answer. `ends`: it has no body, and `end` follows at once. HTTP/2 sends the fields soon, HTTP/1 with the first part
   * of the body, or alone when there is none soon. Throws for what cannot be sent.
   */
  respond(status: number, message: string, fields: string[], ends: boolean): void
  /** Whether the body broke off: Node emits its end then too, over HTTP/2. */
  isBrokenOff(): boolean
  /** The trailers of the request's body, after its end. */
  trailers(): RawFields
  /** Ends the answer, with its last part and its trailers. `written` is called when it was sent. */
  end(last: Buffer | null, trailers: RawFields, written?: (() => void) | null): void
  /**
   * Reads and drops what comes of the request's body, which nobody needs. HTTP/2 could refuse the rest
   * (RFC 9113 §8.1), but Node's client never ends a request that is refused so.
   */
  discard(): void
  /** Breaks off an answer so that the client learns that it is not whole. */
  fail(): void
  /** Is called once: the answer was sent whole (`true`), or the client went away before. */
  onceClosed(listener: (whole: boolean) => void): void
}

/**
 * Calls what throws for fields that Node does not send, such as those with control characters, which
 * HTTP/2 lets in; `otherwise` is called then.
 */
export function tolerate(send: () => void, otherwise: () => void = () => {}): void {
  try {
    send()
  } catch {
    otherwise()
  }
}

/**
 * How many interim answers a client gets for a request; the others are dropped, as an intermediary may
 * (RFC 9110 §15.2). They would wait in memory for a client that does not read.
 */
export const mostInterim = 32

/** Whether an answer has no body, whatever its fields say. */
export const hasNoBody = (method: string, status: number): boolean =>
  method === 'HEAD' || status === 204 || status === 304
