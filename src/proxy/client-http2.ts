import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import { mostInterim, tolerate, type Framing, type ProxyClient, type RawFields } from './client.ts'
import { fieldsObject, has, trailerFields } from './fields.ts'

/** A client that asked over HTTP/2. */
export class Http2Client implements ProxyClient {
  readonly method: string
  readonly authority: string
  readonly path: string
  readonly raw: RawFields
  readonly remoteAddress: string
  readonly framing: Framing
  readonly body: ServerHttp2Stream
  readonly sink: ServerHttp2Stream
  readonly expectsContinue: boolean
  status: number | null = null
  answered: RawFields = []
  octets = 0
  #ended = false
  #received: RawFields = []
  #sent: RawFields = []
  #informed = 0
  readonly #listeners: ((whole: boolean) => void)[] = []

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    raw: RawFields,
    remoteAddress: string,
  ) {
    this.method = headers[':method'] ?? ''
    this.authority = headers[':authority'] ?? headers.host ?? ''
    this.path = headers[':path'] ?? ''
    this.raw = raw
    this.remoteAddress = remoteAddress
    this.framing = stream.endAfterHeaders
      ? 'none'
      : headers['content-length'] === undefined
        ? 'chunked'
        : 'length'
    this.expectsContinue = headers.expect?.toLowerCase() === '100-continue'
    this.body = stream
    this.sink = stream
    // The errors of a stream are also its end, and an unhandled one ends the process.
    stream.on('error', () => {})
    if (this.framing !== 'none')
      stream.on('trailers', (...[, , fields]: [unknown, unknown, RawFields]) => {
        this.#received = fields
      })
  }

  inform(status: number, fields: RawFields): void {
    const { sink } = this
    if (sink.headersSent || sink.destroyed || sink.closed) return
    if (++this.#informed > mostInterim) return
    tolerate(() => sink.additionalHeaders({ ...fieldsObject(fields), ':status': status }))
  }

  respond(status: number, _message: string, fields: string[], ends: boolean): void {
    const { sink } = this
    if (sink.destroyed || sink.closed) return
    const waits = !ends && !has(fields, 'content-length')
    const headers: Record<string, string | string[] | number> = fieldsObject(fields)
    headers[':status'] = status
    // A page may ask to close the connection, for which HTTP/2 has no field.
    delete headers['connection']
    const options = { endStream: ends, waitForTrailers: waits }
    sink.respond(headers, options)
    this.status = status
    this.answered = fields
    this.#ended = ends
    // Without any, node:http2 ends the stream by an empty frame of data.
    if (waits)
      sink.once('wantTrailers', () => {
        tolerate(
          () => sink.sendTrailers(fieldsObject(this.#sent)),
          () => this.fail(),
        )
      })
  }

  /** Answers an extended CONNECT: from now on, the stream is a tunnel. */
  open(fields: string[]): void {
    const { sink } = this
    if (sink.destroyed || sink.closed) return
    sink.respond({ ...fieldsObject(fields), ':status': 200 })
    this.status = 200
    this.#ended = true
  }

  isBrokenOff(): boolean {
    return this.body.aborted
  }

  trailers(): RawFields {
    return trailerFields(this.#received)
  }

  end(last: Buffer | null, trailers: RawFields, written?: (() => void) | null): void {
    const { sink } = this
    this.#ended = true
    this.#sent = trailers
    if (sink.destroyed) return
    if (last === null) sink.end()
    else sink.end(last, written ?? undefined)
  }

  discard(): void {
    if (this.framing !== 'none') this.body.resume()
  }

  fail(): void {
    // Without an error, node:http2 would end the stream as if the answer were whole.
    this.sink.destroy(new Error('The upstream broke off its answer.'))
  }

  onceClosed(listener: (whole: boolean) => void): void {
    if (this.#listeners.push(listener) > 1) return
    this.sink.once('close', () => {
      const isWhole = this.#ended && this.sink.rstCode === constants.NGHTTP2_NO_ERROR
      for (const each of this.#listeners) each(isWhole)
    })
  }
}
