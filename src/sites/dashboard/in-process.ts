import { createServer, type RequestListener } from 'node:http'
import { Duplex } from 'node:stream'

/** An HTTP/1 server without a socket: nobody but this process can connect to it. */
export interface InProcessServer {
  /** Returns the client's end of a new connection. */
  connect(): Duplex
  close(): void
}

export function createInProcessServer(handle: RequestListener): InProcessServer {
  const server = createServer({ maxHeaderSize: 64 * 1024, keepAliveTimeout: 1 }, handle)
  const open = new Set<Duplex>()
  return {
    connect() {
      const [client, own] = connection()
      open.add(own)
      own.once('close', () => open.delete(own))
      server.emit('connection', own)
      return client
    },
    close() {
      for (const end of open) end.destroy()
    },
  }
}

/** Returns the two ends of a connection: what is written to one is read from the other. */
function connection(): readonly [End, End] {
  const [first, second] = [new End(), new End()]
  first.other = second
  second.other = first
  return [first, second]
}

/** Node 22.6 has `duplexPair` of node:stream for this. */
class End extends Duplex {
  other: End | null = null
  /** Lets the other end write on, once this one was read. */
  #resume: (() => void) | null = null

  constructor() {
    super({ allowHalfOpen: true })
  }

  override _read(): void {
    const resume = this.#resume
    this.#resume = null
    resume?.()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const { other } = this
    if (other === null || other.destroyed) return done()
    if (other.push(chunk)) done()
    else other.#resume = done
  }

  override _final(done: () => void): void {
    this.other?.push(null)
    done()
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { other } = this
    this.other = null
    done(error)
    // As a socket whose other end was closed: at once, but not within this call.
    if (other !== null && !other.destroyed) process.nextTick(() => other.destroy())
  }

  // node:http asks these of a connection.
  setTimeout(): this {
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }
}
