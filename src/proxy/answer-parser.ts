import { headBytes, InvalidAnswer, parseHead, type AnswerHead } from './answer-head.ts'
import { Chunks } from './chunks.ts'
import { hasNoBody, type RawFields } from './client.ts'
import { HeadReader } from './head-reader.ts'

/** What is told of an answer while it comes in. */
export interface AnswerListener {
  /** An interim answer (1xx), but for 101. */
  onInterim(head: AnswerHead): void
  /** The answer itself. `length` is that of its body; `null`: the end of the body says it. */
  onHead(head: AnswerHead, length: number | null): void
  /**
   * A part of the body. Its memory is used again after the call. `isLast`: it is the last, and no
   * trailers follow.
   */
  onPart(part: Buffer, isLast: boolean): void
  /** The end of the answer, which is whole. */
  onEnd(trailers: RawFields): void
}

/** What comes next, or why nothing does. */
type State = 'head' | 'length' | 'chunks' | 'until-close' | 'whole' | 'upgraded' | 'stopped'

/** How many octets of interim answers are read for one request. */
const mostInterimBytes = 1024 * 1024

/** Reads the answer to one request from what an HTTP/1 connection brings, in pieces of any size. */
export class AnswerParser {
  /** Whether anything of the answer has come. */
  hasBegun = false
  /** The head of the last answer that was read. */
  head: AnswerHead | null = null
  readonly #method: string
  readonly #listener: AnswerListener
  #state: State = 'head'
  #reader: HeadReader | null = null
  #left = 0
  #chunks: Chunks | null = null
  #interim = 0

  constructor(method: string, listener: AnswerListener) {
    this.#method = method
    this.#listener = listener
  }

  /** Whether the whole answer has come; what follows is another's. */
  get isWhole(): boolean {
    return this.#state === 'whole'
  }

  /**
   * Whether no body can follow that the answer must not have: not so for HEAD, or where the fields speak
   * of a body. To the next request it would be the answer.
   */
  get isCertain(): boolean {
    const { status = 0, length = null, isChunked = false } = this.head ?? {}
    const announces = isChunked || (length ?? 0) > 0
    return this.#method !== 'HEAD' && !(announces && hasNoBody(this.#method, status))
  }

  /** Whether the protocol of the connection has changed; what follows is of the new one. */
  get isUpgraded(): boolean {
    return this.#state === 'upgraded'
  }

  /** Tells the listener nothing any more. */
  stop(): void {
    this.#state = 'stopped'
  }

  /**
   * Reads octets from `start` to `end`; returns where what no longer belongs to the answer begins.
   * Throws InvalidAnswer.
   */
  read(data: Buffer, start: number, end: number): number {
    let at = start
    if (at < end) this.hasBegun = true
    while (at < end)
      switch (this.#state) {
        case 'head':
          at = this.#readHead(data, at, end)
          break
        case 'length': {
          const stop = Math.min(end, at + this.#left)
          this.#left -= stop - at
          const part = data.subarray(at, stop)
          at = stop
          if (this.#left > 0) this.#listener.onPart(part, false)
          else {
            this.#state = 'whole'
            this.#listener.onPart(part, true)
            this.#end([])
          }
          break
        }
        case 'chunks':
          at = this.#readChunks(data, at, end)
          break
        case 'until-close':
          this.#listener.onPart(data.subarray(at, end), false)
          at = end
          break
        case 'whole':
        case 'upgraded':
        case 'stopped':
          return at
      }
    return at
  }

  /** Reads the end of the connection; `false`: the answer was not whole. */
  close(): boolean {
    if (this.#state !== 'until-close') return this.#state === 'whole' || this.#state === 'stopped'
    this.#state = 'whole'
    this.#listener.onEnd([])
    return true
  }

  #readHead(data: Buffer, start: number, end: number): number {
    this.#reader ??= new HeadReader(headBytes)
    const rest = this.#reader.read(data, start, end)
    const { text } = this.#reader
    if (text === null) {
      if (!isBeginning(this.#reader.beginning()))
        throw new InvalidAnswer('It does not begin as HTTP/1.1 does.')
      return rest
    }
    this.#reader = null
    const head = parseHead(text)
    const { status } = head
    this.head = head
    if (status === 101) this.#state = 'upgraded'
    else if (status < 200) {
      this.#interim += text.length
      if (this.#interim > mostInterimBytes)
        throw new InvalidAnswer('Its interim answers do not end.')
      this.#listener.onInterim(head)
    } else this.#begin(head)
    return rest
  }

  #begin(head: AnswerHead): void {
    const length = hasNoBody(this.#method, head.status) ? 0 : head.isChunked ? null : head.length
    if (length === 0) {
      this.#state = 'whole'
      this.#listener.onHead(head, 0)
      this.#end([])
      return
    }
    if (length !== null) {
      this.#state = 'length'
      this.#left = length
    } else if (head.isChunked) {
      this.#state = 'chunks'
      this.#chunks = new Chunks()
    } else this.#state = 'until-close'
    this.#listener.onHead(head, length)
  }

  #readChunks(data: Buffer, start: number, end: number): number {
    const chunks = this.#chunks as Chunks
    chunks.decode(data, start, end)
    const { dataEnd, rest, trailers } = chunks
    if (trailers !== null) this.#state = 'whole'
    if (dataEnd > start)
      this.#listener.onPart(
        data.subarray(start, dataEnd),
        trailers !== null && trailers.length === 0,
      )
    if (trailers !== null) this.#end(trailers)
    return rest
  }

  /** A listener may have stopped the parser by what it was told before. */
  #end(trailers: RawFields): void {
    if (this.#state === 'whole') this.#listener.onEnd(trailers)
  }
}

/** Whether a text may be the beginning of a status line. */
const isBeginning = (text: string): boolean =>
  'HTTP/1.1'.startsWith(text) || 'HTTP/1.0'.startsWith(text)
