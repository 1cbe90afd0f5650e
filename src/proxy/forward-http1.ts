import type { ClientRequest, IncomingMessage } from 'node:http'
import { hasNoBody, tolerate } from './client.ts'
import { answerFields, trailerFields, trailerPairs } from './fields.ts'
import { continueMilliseconds, fieldsForClient, hintFinder, isRepeatable } from './forward.ts'
import type { Forwarding } from './forward.ts'
import { relay } from './relay.ts'

/** Forwards a request to an upstream that speaks HTTP/1. */
export function forwardToHttp1(forwarding: Forwarding): void {
  const { client, onNoAnswer } = forwarding
  let outgoing: ClientRequest
  let answer: IncomingMessage | null = null
  let isOver = false

  function ask(fresh: boolean): void {
    const { upstreams, upstream, fields } = forwarding
    outgoing = upstreams.ask(upstream, { method: client.method, path: client.path, fields }, fresh)
    outgoing.on('response', (response) => {
      answer = response
      sendAnswer(forwarding, outgoing, response, () => (isOver = true))
    })
    outgoing.on('information', ({ statusCode, rawHeaders }) => {
      if (statusCode !== 100 && answer === null) client.inform(statusCode, answerFields(rawHeaders))
    })
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      // A response that has begun says itself that it was broken off.
      if (isOver || answer !== null) return
      const isStale = error.code === 'ECONNRESET' || error.code === 'EPIPE'
      if (!fresh && isStale && outgoing.reusedSocket && isRepeatable(client)) {
        ask(true)
        return
      }
      isOver = true
      onNoAnswer(error)
    })
    // Only an upstream that was not asked for it would answer 101.
    outgoing.on('upgrade', (_response, socket) => {
      socket.destroy()
      isOver = true
      onNoAnswer(Object.assign(new Error('It answered 101.'), { code: 'HPE_INVALID_STATUS' }))
    })
    if (client.framing === 'none') outgoing.end()
    else if (client.expectsContinue) sendBodyWhenAsked(forwarding, outgoing)
    else sendBody(forwarding, outgoing)
  }

  client.onceClosed(() => {
    if (isOver) return
    isOver = true
    outgoing.destroy()
  })
  ask(false)
}

function sendBody({ client }: Forwarding, outgoing: ClientRequest): void {
  client.body.pipe(outgoing, { end: false })
  client.body.once('end', () => {
    const trailers = client.trailers()
    if (trailers.length > 0) tolerate(() => outgoing.addTrailers(trailerPairs(trailers)))
    outgoing.end()
  })
}

/** Sends the body once the upstream has asked for it by 100 (Continue), or has not refused in time. */
function sendBodyWhenAsked(forwarding: Forwarding, outgoing: ClientRequest): void {
  let begun = false
  const begin = (): void => {
    clearTimeout(timer)
    if (begun || outgoing.destroyed) return
    begun = true
    forwarding.client.inform(100, [])
    sendBody(forwarding, outgoing)
  }
  const timer = setTimeout(begin, continueMilliseconds)
  const stop = (): void => {
    begun = true
    clearTimeout(timer)
  }
  outgoing.once('continue', begin).once('response', stop).once('close', stop)
  outgoing.flushHeaders()
}

function sendAnswer(
  forwarding: Forwarding,
  outgoing: ClientRequest,
  answer: IncomingMessage,
  onOver: () => void,
): void {
  const { client, onNoAnswer } = forwarding
  const { statusCode: status = 502, statusMessage = '', headers } = answer
  const length = headers['content-length'] === undefined ? null : Number(headers['content-length'])
  const ends = hasNoBody(client.method, status) || length === 0
  try {
    client.respond(
      status,
      statusMessage,
      fieldsForClient(forwarding, answer.rawHeaders, status),
      ends,
    )
  } catch (error) {
    onOver()
    outgoing.destroy()
    onNoAnswer(Object.assign(error as Error, { code: 'ERR_INVALID_CHAR' }))
    return
  }
  const onWhole = (): void => {
    onOver()
    endUpload(forwarding, outgoing)
  }
  if (ends) {
    client.end(null, [])
    answer.on('error', () => {})
    answer.once('end', onWhole).resume()
    return
  }
  relay(client, {
    source: answer,
    length,
    trailers: () => (answer.complete ? trailerFields(answer.rawTrailers) : null),
    onStart: hintFinder(forwarding, status),
    onWhole,
  })
}

/** Gives up a body that the upstream has answered without reading it whole, such as by 413. */
function endUpload({ client }: Forwarding, outgoing: ClientRequest): void {
  if (client.framing === 'none' || outgoing.writableEnded) return
  client.body.unpipe(outgoing)
  client.discard()
  outgoing.destroy()
}
