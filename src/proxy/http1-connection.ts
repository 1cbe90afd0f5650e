import type { Duplex } from 'node:stream'
import { InvalidAnswer, type AnswerHead } from './answer-head.ts'
import { AnswerParser, type AnswerListener } from './answer-parser.ts'
import { holdWriteErrors } from './write-errors.ts'

/** What is told of a request while it is answered; after `onEnd` or `onFailed` nothing more is. */
export interface Asker extends AnswerListener {
  /** There is no answer, or no more of it. `isSilent`: not one octet of it has come. */
  onFailed(error: NodeJS.ErrnoException, isSilent: boolean): void
  /** The upstream has changed the protocol as it was asked to; `first` came after its answer. */
  readonly onUpgrade: ((head: AnswerHead, socket: Duplex, first: Buffer) => void) | null
}

/** Takes back a connection for its next request; `milliseconds`: how long it may be idle, if that is known. */
export type Keeper = (connection: Http1Connection, milliseconds: number | null) => void

/** One connection to an upstream, with at most one request at a time. */
export class Http1Connection {
  readonly socket: Duplex
  /** Whether it has answered a request before. */
  isReused = false
  /** When it may no longer be used, by `performance.now()`. */
  keptUntil = Infinity
  readonly #keep: Keeper | null
  #asker: Asker | null = null
  #parser: AnswerParser | null = null
  #error: NodeJS.ErrnoException | null = null
  /** Whether all of the request was written. */
  #isAsked = false
  #holdsErrors = false
  #isUpgraded = false

  /** `keep` is given the connection after each answer after which another request may follow. */
  constructor(socket: Duplex, keep: Keeper | null) {
    this.socket = socket
    this.#keep = keep
    socket.on('error', (error) => (this.#error ??= error))
    socket.once('end', () => this.#end())
    socket.once('close', () => this.#fail(this.#error ?? hangUp()))
  }

  /** Reads the socket by its events, for one that was not made to call `read`. */
  listen(): this {
    this.socket.on('data', this.#onData)
    return this
  }

  readonly #onData = (part: Buffer): void => this.read(part, part.length)

  get isIdle(): boolean {
    return this.#asker === null && !this.socket.destroyed && this.socket.writable
  }

  /** Begins a request by its head; the body, if there is one, is written to the socket. */
  ask(method: string, head: string, hasBody: boolean, asker: Asker): void {
    this.#asker = asker
    this.#parser = new AnswerParser(method, asker)
    this.#isAsked = !hasBody
    const { socket } = this
    if (!hasBody) {
      socket.write(head, 'latin1')
      return
    }
    if (!this.#holdsErrors) holdWriteErrors(socket)
    this.#holdsErrors = true
    // Goes with the first part of the body, if that has come.
    socket.cork()
    socket.write(head, 'latin1')
    setImmediate(() => socket.uncork())
  }

  /** Says that the request was written to its end. */
  finish(): void {
    this.#isAsked = true
  }

  /** Gives the request up, and the connection with it; its asker is told nothing more. */
  destroy(): void {
    this.#parser?.stop()
    this.#asker = this.#parser = null
    this.socket.destroy()
  }

  /** Reads what has come, `length` octets of a memory that is used again after the call. */
  read(data: Buffer, length: number): void {
    const parser = this.#parser
    // Nobody asked: who writes now could answer a request that comes later.
    if (parser === null) return void this.socket.destroy()
    let rest
    try {
      rest = parser.read(data, 0, length)
    } catch (error) {
      this.#fail(error instanceof InvalidAnswer ? error : fault(error))
      return
    }
    if (parser.isUpgraded) this.#upgrade(data, rest, length)
    else if (parser.isWhole) this.#finishAnswer(parser, rest === length)
  }

  #end(): void {
    if (this.#isUpgraded) return
    const parser = this.#parser
    if (parser === null) return void this.socket.destroy()
    if (parser.close()) this.#asker = this.#parser = null
    // What broke the connection says more than its end, and comes next.
    else if (this.#error === null) this.#fail(hangUp())
    this.socket.destroy()
  }

  #finishAnswer(parser: AnswerParser, isClean: boolean): void {
    if (this.#parser !== parser) return
    this.#asker = this.#parser = null
    const { head } = parser
    const mayFollow = isClean && this.#isAsked && parser.isCertain
    if (this.#keep === null || head?.isKept !== true || !mayFollow) this.socket.destroy()
    else {
      this.isReused = true
      this.#keep(this, head.keptMilliseconds)
    }
  }

  #upgrade(data: Buffer, rest: number, length: number): void {
    const { socket } = this
    const asker = this.#asker
    const head = this.#parser?.head
    if (!asker?.onUpgrade || !head) {
      this.#fail(new InvalidAnswer('It changed the protocol unasked.'))
      return
    }
    this.#asker = this.#parser = null
    this.#isUpgraded = true
    socket.off('data', this.#onData)
    asker.onUpgrade(head, socket, Buffer.from(data.subarray(rest, length)))
  }

  #fail(error: NodeJS.ErrnoException): void {
    if (this.#isUpgraded) return
    const asker = this.#asker
    const isSilent = this.#parser?.hasBegun !== true
    this.destroy()
    asker?.onFailed(error, isSilent)
  }
}

/** The code of a fault of this program. Thrown on, it would end the process, and all other requests. */
export const faultCode = 'ERR_PROXY_FAULT'

const fault = (cause: unknown): NodeJS.ErrnoException =>
  Object.assign(new Error('The proxy itself failed.', { cause }), { code: faultCode })

const hangUp = (): NodeJS.ErrnoException =>
  Object.assign(new Error('The upstream closed the connection.'), { code: 'ECONNRESET' })
