import type { AnswerHead } from './answer-head.ts'
import { copyPart } from './body-buffers.ts'
import { BodySender } from './body-sender.ts'
import type { ProxyClient, RawFields } from './client.ts'
import { answerFields, trailerFields, without } from './fields.ts'
import { fieldsForClient, hintFinder, isRepeatable } from './forward.ts'
import type { Forwarding } from './forward.ts'
import type { Asker, Http1Connection } from './http1-connection.ts'
import { requestHead } from './request-head.ts'

/**
 * Forwards a request to an upstream that speaks HTTP/1. Throws ERR_INVALID_CHAR for a request that
 * cannot be sent.
 */
export function forwardToHttp1(forwarding: Forwarding): void {
  new Http1Forwarder(forwarding, null).ask(false)
}

/** What a request to change the protocol of its connection is beside another. */
export interface Upgrading {
  readonly method: string
  readonly onUpgrade: NonNullable<Asker['onUpgrade']>
}

/** Forwards a request to change the protocol, on a connection of its own. Throws as `forwardToHttp1`. */
export function forwardUpgrading(forwarding: Forwarding, upgrading: Upgrading): void {
  new Http1Forwarder(forwarding, upgrading).ask(true)
}

/** To stop reading costs more than to hold so little. */
const littleOctets = 128 * 1024

/** Whether the upstream has closed the connection, as it may close one that waits for a request. */
const isClosedError = ({ code }: NodeJS.ErrnoException): boolean =>
  code === 'ECONNRESET' || code === 'EPIPE'

class Http1Forwarder implements Asker {
  readonly onUpgrade: Asker['onUpgrade']
  readonly forwarding: Forwarding
  readonly client: ProxyClient
  readonly #method: string
  readonly #head: string
  #connection: Http1Connection | null = null
  #sender: BodySender | null = null
  #isFresh = false
  /** How much of the body is to come; `null`: its end says it. */
  #left: number | null = null
  /** Whether all of the answer was given to the client, or none will be. */
  #isOver = false
  #onStart: ((part: Buffer) => void) | null = null
  #isPaused = false
  #waitsForDrain = false

  constructor(forwarding: Forwarding, upgrading: Upgrading | null) {
    const { client } = forwarding
    this.forwarding = forwarding
    this.client = client
    this.#method = upgrading?.method ?? client.method
    this.onUpgrade =
      upgrading === null
        ? null
        : (...given) => {
            this.#isOver = true
            upgrading.onUpgrade(...given)
          }
    this.#head = requestHead(this.#method, client.path, forwarding.fields)
    client.onceClosed(() => this.#giveUp())
  }

  ask(fresh: boolean): void {
    const { client, forwarding } = this
    const connection = forwarding.upstreams.connection(forwarding.upstream, fresh)
    this.#connection = connection
    this.#isFresh = fresh
    const hasBody = this.onUpgrade === null && client.framing !== 'none'
    connection.ask(this.#method, this.#head, hasBody, this)
    if (hasBody) this.#sender = new BodySender(forwarding, connection)
  }

  onInterim(head: AnswerHead): void {
    if (head.status === 100) this.#sender?.begin()
    else this.client.inform(head.status, answerFields(head.fields))
  }

  onHead(head: AnswerHead, length: number | null): void {
    const { client, forwarding } = this
    const { status, message, fields } = head
    this.#sender?.answered()
    this.#left = length
    // 205 (Reset Content) has no body either, but some apps send one (RFC 9110 §15.3.6).
    const isReset = status === 205 && length !== 0
    const answered = fieldsForClient(forwarding, fields, status)
    try {
      if (isReset) client.respond(status, message, without(answered, 'content-length'), true)
      else client.respond(status, message, answered, length === 0)
    } catch (error) {
      this.#refuse(Object.assign(error as Error, { code: 'ERR_INVALID_CHAR' }))
      return
    }
    if (isReset) {
      // What follows it, although nothing may, would be too much for HTTP/2.
      this.#isOver = true
      client.end(null, [], null)
      this.#sender?.drop()
      this.#connection?.destroy()
      return
    }
    this.#onStart = hintFinder(forwarding, status)
  }

  onPart(part: Buffer, isLast: boolean): void {
    const { client } = this
    const { sink } = client
    this.#onStart?.(part)
    this.#onStart = null
    client.octets += part.length
    const { copy, release } = copyPart(part)
    if (this.#left !== null) this.#left -= part.length
    if (isLast) {
      // Its end goes with the last part, for which HTTP/2 would need a frame of its own.
      this.#isOver = true
      client.end(copy, [], release)
      return
    }
    const isRoomy = sink.write(copy, release ?? undefined)
    if (isRoomy || this.#isPaused || (this.#left !== null && this.#left <= littleOctets)) return
    this.#isPaused = true
    this.#connection?.socket.pause()
    if (this.#waitsForDrain) return
    this.#waitsForDrain = true
    sink.on('drain', () => this.#resume())
  }

  onEnd(trailers: RawFields): void {
    const { client } = this
    if (!this.#isOver) client.end(null, trailerFields(trailers), null)
    this.#isOver = true
    this.#resume()
    // From now on it may be another request's.
    this.#connection = null
    this.#sender?.drop()
  }

  onFailed(error: NodeJS.ErrnoException, isSilent: boolean): void {
    if (this.#isOver) return
    const isReused = this.#connection?.isReused === true
    this.#connection = null
    const isStale = !this.#isFresh && isReused && isSilent && isClosedError(error)
    if (isStale && isRepeatable(this.client)) this.ask(true)
    else this.#refuse(error)
  }

  #refuse(error: NodeJS.ErrnoException): void {
    this.#isOver = true
    this.#sender?.drop()
    this.#connection?.destroy()
    this.forwarding.onNoAnswer(error)
  }

  #resume(): void {
    if (!this.#isPaused) return
    this.#isPaused = false
    this.#connection?.socket.resume()
  }

  /** Its client is gone, or has all of the answer. */
  #giveUp(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#sender?.drop()
    this.#connection?.destroy()
  }
}
