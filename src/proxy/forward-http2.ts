import { constants, type ClientHttp2Stream, type IncomingHttpHeaders } from 'node:http2'
import { hasNoBody, tolerate, type RawFields } from './client.ts'
import { answerFields, fieldsObject, trailerFields } from './fields.ts'
import { continueMilliseconds, fieldsForClient, hintFinder, isRepeatable } from './forward.ts'
import type { Forwarding } from './forward.ts'
import { relay } from './relay.ts'

type HeadersArguments = [headers: IncomingHttpHeaders, flags: number, raw: RawFields]

/** Forwards a request to an upstream that speaks HTTP/2 without TLS, as gRPC servers do. */
export function forwardToHttp2(forwarding: Forwarding): void {
  const { client, onNoAnswer } = forwarding
  let stream: ClientHttp2Stream
  let answered = false
  let isOver = false

  function ask(again: boolean): void {
    stream = open(forwarding)
    let trailers: RawFields = []
    stream.on('headers', (...[headers, , raw]: HeadersArguments) => {
      const status = Number(headers[':status'])
      if (status !== 100 && !answered) client.inform(status, answerFields(raw))
    })
    stream.on('trailers', (...[, , raw]: HeadersArguments) => (trailers = trailerFields(raw)))
    stream.once('response', (...[headers, flags, raw]: HeadersArguments) => {
      answered = true
      const status = Number(headers[':status'])
      const ends =
        hasNoBody(client.method, status) || (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0
      try {
        client.respond(status, '', fieldsForClient(forwarding, raw, status), ends)
      } catch (error) {
        isOver = true
        stream.close(constants.NGHTTP2_CANCEL)
        onNoAnswer(Object.assign(error as Error, { code: 'ERR_INVALID_CHAR' }))
        return
      }
      const onWhole = (): void => {
        isOver = true
        endUpload(forwarding, stream)
      }
      if (ends) {
        client.end(null, [])
        stream.once('end', onWhole).resume()
        return
      }
      relay(client, {
        source: stream,
        trailers: () => (stream.rstCode === constants.NGHTTP2_NO_ERROR ? trailers : null),
        onStart: hintFinder(forwarding, status),
        onWhole,
      })
    })
    let failure: NodeJS.ErrnoException | null = null
    stream.on('error', (error: NodeJS.ErrnoException) => {
      failure = (error.cause as NodeJS.ErrnoException | undefined) ?? error
    })
    stream.once('close', () => {
      if (isOver || answered) return
      const isRefused = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM
      if (!again && isRefused && isRepeatable(client)) {
        ask(true)
        return
      }
      isOver = true
      onNoAnswer(failure ?? new Error('It ended the stream without an answer.'))
    })
    if (client.framing === 'none') return
    if (client.expectsContinue) sendBodyWhenAsked(forwarding, stream)
    else sendBody(forwarding, stream)
  }

  client.onceClosed(() => {
    if (isOver) return
    isOver = true
    stream.close(constants.NGHTTP2_CANCEL)
  })
  ask(false)
}

/** The fields that name or frame an HTTP/1 request, for which HTTP/2 has other means. */
const notInHttp2 = ['host', 'transfer-encoding', 'connection']

function open({ client, upstream, upstreams, host, fields }: Forwarding): ClientHttp2Stream {
  const headers = fieldsObject(fields)
  for (const name of notInHttp2) delete headers[name]
  const { framing } = client
  const stream = upstreams.session(upstream).request(
    {
      ...headers,
      ':method': client.method,
      ':scheme': 'http',
      ':authority': host,
      ':path': client.path,
    },
    { endStream: framing === 'none', waitForTrailers: framing === 'chunked' },
  )
  stream.once('wantTrailers', () =>
    tolerate(
      () => stream.sendTrailers(fieldsObject(client.trailers())),
      () => stream.close(constants.NGHTTP2_CANCEL),
    ),
  )
  return stream
}

const sendBody = ({ client }: Forwarding, stream: ClientHttp2Stream): void =>
  void client.body.pipe(stream)

/** Sends the body once the upstream has asked for it by 100 (Continue), or has not refused in time. */
function sendBodyWhenAsked(forwarding: Forwarding, stream: ClientHttp2Stream): void {
  let begun = false
  const begin = (): void => {
    clearTimeout(timer)
    if (begun || stream.destroyed) return
    begun = true
    forwarding.client.inform(100, [])
    sendBody(forwarding, stream)
  }
  const timer = setTimeout(begin, continueMilliseconds)
  const stop = (): void => {
    begun = true
    clearTimeout(timer)
  }
  stream.once('continue', begin).once('response', stop).once('close', stop)
}

/** Gives up a body that the upstream has answered without reading it whole. */
function endUpload({ client }: Forwarding, stream: ClientHttp2Stream): void {
  if (client.framing === 'none' || stream.writableEnded) return
  client.body.unpipe(stream)
  client.discard()
  stream.close(constants.NGHTTP2_NO_ERROR)
}
