/** How long a client may take and how much it may send. Times in milliseconds, sizes in bytes. */
export interface ServerLimits {
  /** The time for the first octet of a TCP connection, and then for the TLS handshake. */
  readonly handshakeMilliseconds: number
  /** The time for the head of an HTTP/1 request, or for the preface of an HTTP/2 connection. */
  readonly headersMilliseconds: number
  /** The time for a whole request with its body; 0: there is no limit. */
  readonly requestMilliseconds: number
  /**
   * The time for a connection without a request; a client that does not read its response has twice
   * this time.
   */
  readonly idleMilliseconds: number
  readonly headerBytes: number
  readonly headers: number
  /**
   * The most open connections; one more closes the connection that has been idle for longest, or
   * else the slowest one.
   */
  readonly connections: number
  /** The most open connections of another machine, so that it leaves room for others. */
  readonly connectionsPerAddress: number
  /**
   * The least average rate, in bytes a second, at which a client must read a response that waits
   * for it; 0: it may stop reading for as long as it likes. A request's body needs no such rate:
   * `requestMilliseconds` limits all of it.
   */
  readonly leastBytesPerSecond: number
  /**
   * The rate, in bytes a second, below which a connection whose response waits for its client may be
   * closed to make room for another.
   */
  readonly slowBytesPerSecond: number
  /** The time for which the rate of a client is measured before it counts as slow. */
  readonly graceMilliseconds: number
  /** The most requests at a time in one HTTP/2 connection. */
  readonly streams: number
  /** How many requests an HTTP/2 client may cancel at once, and then how many in a second. */
  readonly streamResetBurst: number
  readonly streamResetRate: number
}

export const defaultLimits: Readonly<ServerLimits> = {
  handshakeMilliseconds: 5_000,
  headersMilliseconds: 5_000,
  requestMilliseconds: 10_000,
  idleMilliseconds: 60_000,
  headerBytes: 16 * 1024,
  headers: 128,
  connections: 512,
  connectionsPerAddress: 128,
  // Kestrel, the server of ASP.NET, asks for 240, and Apache's mod_reqtimeout for 500.
  leastBytesPerSecond: 500,
  slowBytesPerSecond: 8_000,
  graceMilliseconds: 5_000,
  streams: 100,
  // As in Node.
  streamResetBurst: 1_000,
  streamResetRate: 33,
}

/**
 * Whether a request has more headers than the limit. Checked here because node:http would silently
 * leave out headers beyond its `maxHeadersCount`; node:http2 refuses such a request itself.
 */
export function tooManyHeaders(
  { rawHeaders }: { readonly rawHeaders: readonly string[] },
  { headers }: ServerLimits,
): boolean {
  return rawHeaders.length / 2 > headers
}
