import { STATUS_CODES, type IncomingMessage, type ServerResponse } from 'node:http'
import { mostInterim, tolerate, type Framing, type ProxyClient, type RawFields } from './client.ts'
import { has, trailerFields, trailerPairs, without } from './fields.ts'

/** A client that asked over HTTP/1. */
export class Http1Client implements ProxyClient {
  readonly method: string
  readonly authority: string
  readonly path: string
  readonly raw: RawFields
  readonly remoteAddress: string
  readonly framing: Framing
  readonly body: IncomingMessage
  readonly sink: ServerResponse
  readonly expectsContinue: boolean
  status: number | null = null
  answered: RawFields = []
  octets = 0
  #isChunked = false
  #isContinued = false
  #informed = 0
  readonly #listeners: ((whole: boolean) => void)[] = []

  constructor(request: IncomingMessage, response: ServerResponse, remoteAddress: string) {
    const { headers } = request
    this.method = request.method ?? ''
    this.authority = headers.host ?? ''
    this.path = request.url ?? ''
    this.raw = request.rawHeaders
    this.remoteAddress = remoteAddress
    const length = headers['content-length']
    this.framing =
      headers['transfer-encoding'] !== undefined
        ? 'chunked'
        : length === undefined || /^0+$/.test(length)
          ? 'none'
          : 'length'
    this.expectsContinue =
      request.httpVersionMinor > 0 &&
      this.framing !== 'none' &&
      headers.expect?.toLowerCase() === '100-continue'
    this.body = request
    this.sink = response
  }

  get #speaksHttp11(): boolean {
    return this.body.httpVersionMinor > 0
  }

  inform(status: number, fields: RawFields): void {
    const { sink } = this
    if (!this.#speaksHttp11 || sink.headersSent) return
    if (status === 100) {
      this.#isContinued = true
      sink.writeContinue()
      return
    }
    if (++this.#informed > mostInterim) return
    // Without a socket, the answer waits for those of earlier requests (pipelining).
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`
    for (let i = 0; i < fields.length; i += 2) head += `${fields[i]}: ${fields[i + 1]}\r\n`
    sink.socket?.write(`${head}\r\n`, 'latin1')
  }

  respond(status: number, message: string, fields: string[], ends: boolean): void {
    const { sink } = this
    this.#isChunked = this.#speaksHttp11 && !ends && !has(fields, 'content-length')
    // Node refuses to announce trailers that it could not send.
    const sent = this.#isChunked || !has(fields, 'trailer') ? fields : without(fields, 'trailer')
    // The client will not send its body, or will: what comes next could be either.
    if (this.expectsContinue && !this.#isContinued) sent.push('Connection', 'close')
    sink.writeHead(status, message, sent)
    this.status = status
    this.answered = sent
    if (ends) return
    // Sent apart, the head would cost a packet of its own.
    setImmediate(() => {
      if (sink.socket !== null && !sink.destroyed && !sink.writableEnded) sink.flushHeaders()
    })
  }

  isBrokenOff(): boolean {
    return !this.body.complete
  }

  trailers(): RawFields {
    return trailerFields(this.body.rawTrailers)
  }

  end(last: Buffer | null, trailers: RawFields, written?: (() => void) | null): void {
    if (trailers.length > 0 && this.#isChunked)
      tolerate(() => this.sink.addTrailers(trailerPairs(trailers)))
    if (last === null) this.sink.end()
    else this.sink.end(last, written ?? undefined)
  }

  discard(): void {
    if (this.framing !== 'none') this.body.resume()
  }

  fail(): void {
    this.sink.destroy()
  }

  onceClosed(listener: (whole: boolean) => void): void {
    if (this.#listeners.push(listener) > 1) return
    this.sink.once('close', () => {
      const isWhole = this.sink.writableFinished
      for (const each of this.#listeners) each(isWhole)
    })
  }
}
