import { tolerate, type ProxyClient } from './client.ts'
import { valueOf } from './fields.ts'
import { continueMilliseconds, type Forwarding } from './forward.ts'
import type { Http1Connection } from './http1-connection.ts'
import { trailerLines } from './request-head.ts'

/** Sends the body of a request to an upstream over HTTP/1, no faster than the upstream reads it. */
export class BodySender {
  readonly #client: ProxyClient
  readonly #connection: Http1Connection
  readonly #isChunked: boolean
  /** How much was announced and is not sent yet. */
  #left: number
  #isSending = false
  #isDropped = false
  #isWaiting = false
  #timer: NodeJS.Timeout | null = null

  constructor({ client, fields }: Forwarding, connection: Http1Connection) {
    this.#client = client
    this.#connection = connection
    this.#isChunked = valueOf(fields, 'transfer-encoding') !== null
    this.#left = this.#isChunked ? Infinity : Number(valueOf(fields, 'content-length') ?? 0)
    if (client.expectsContinue) this.#timer = setTimeout(() => this.begin(), continueMilliseconds)
    else this.#start()
  }

  /** The upstream asks for the body by 100 (Continue), or has not refused it in time. */
  begin(): void {
    if (this.#timer === null || this.#isDropped) return
    this.#stopTimer()
    this.#client.inform(100, [])
    this.#start()
  }

  /** The upstream has answered: it does not ask for the body any more. */
  answered(): void {
    this.#stopTimer()
  }

  /** Gives up a body that nobody needs any more, such as after 413. */
  drop(): void {
    this.#stopTimer()
    if (this.#isDropped) return
    this.#isDropped = true
    const { body } = this.#client
    if (this.#isSending) body.off('data', this.#onData).off('end', this.#onEnd)
    this.#client.discard()
  }

  #stopTimer(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #start(): void {
    this.#isSending = true
    this.#client.body.on('data', this.#onData).once('end', this.#onEnd)
  }

  readonly #onData = (part: Buffer): void => {
    const { socket } = this.#connection
    this.#left -= part.length
    // It would be the upstream's next request.
    if (this.#left < 0) return this.#breakOff()
    let isRoomy
    if (this.#isChunked) {
      socket.cork()
      socket.write(`${part.length.toString(16)}\r\n`, 'latin1')
      socket.write(part)
      isRoomy = socket.write('\r\n', 'latin1')
      socket.uncork()
    } else isRoomy = socket.write(part)
    if (isRoomy || this.#isWaiting) return
    this.#isWaiting = true
    this.#client.body.pause()
    socket.once('drain', this.#onDrain)
  }

  readonly #onDrain = (): void => {
    this.#isWaiting = false
    if (!this.#isDropped) this.#client.body.resume()
  }

  readonly #onEnd = (): void => {
    // The last chunk would make a whole body of what came of it.
    if (this.#client.isBrokenOff()) return this.#breakOff()
    if (this.#isChunked) {
      let trailers = ''
      tolerate(() => (trailers = trailerLines(this.#client.trailers())))
      this.#connection.socket.write(`0\r\n${trailers}\r\n`, 'latin1')
    } else if (this.#left > 0) return this.#breakOff()
    this.#isDropped = true
    this.#connection.finish()
  }

  /** A body that broke off, or is not as long as it was announced. */
  #breakOff(): void {
    this.drop()
    this.#connection.socket.destroy(new Error('The body is not whole.'))
  }
}
