import { constants, type Http2Session, type ServerHttp2Stream } from 'node:http2'
import type { ServerLimits } from './limits.ts'

/**
 * Holds an HTTP/2 session to the limits that `node:http` enforces for HTTP/1 and `node:http2` does not: a preface in
 * time, a request body in time, no session without streams for long (whatever bytes trickle in), no client that
 * stops reading.
 */
export function guardHttp2Session(session: Http2Session, limits: ServerLimits): void {
  let open = 0
  const end = (): void => {
    session.close()
    session.destroy()
  }
  let timer = setTimeout(end, limits.headersMilliseconds)
  timer.unref()
  const idle = (): void => {
    clearTimeout(timer)
    if (session.destroyed || open > 0) return
    timer = setTimeout(end, limits.idleMilliseconds)
    timer.unref()
  }
  session.once('remoteSettings', idle)
  session.on('stream', (stream: ServerHttp2Stream) => {
    open += 1
    clearTimeout(timer)
    guardStream(stream, limits)
    stream.once('close', () => {
      open -= 1
      idle()
    })
  })
  session.once('close', () => clearTimeout(timer))
}

function guardStream(stream: ServerHttp2Stream, limits: ServerLimits): void {
  if (!stream.endAfterHeaders) {
    const cut = (): void => stream.close(constants.NGHTTP2_CANCEL)
    const timer = setTimeout(cut, limits.requestMilliseconds)
    timer.unref()
    stream.once('end', () => clearTimeout(timer))
    stream.once('close', () => clearTimeout(timer))
  }
  stream.setTimeout(limits.idleMilliseconds)
  // A handler may think for long; a client that leaves written bytes unread may not.
  stream.on('timeout', () => {
    if (stream.writableLength > 0) stream.close(constants.NGHTTP2_CANCEL)
  })
}
