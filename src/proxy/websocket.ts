import { createHash, randomBytes } from 'node:crypto'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Http1Client } from './client-http1.ts'
import type { Http2Client } from './client-http2.ts'
import { hasNoBody, tolerate, type ProxyClient } from './client.ts'
import { answerFields, has, valueOf, without } from './fields.ts'
import { fieldsForClient, hintFinder, type Forwarding } from './forward.ts'
import { relay } from './relay.ts'

/**
 * Forwards a request to change the protocol of an HTTP/1 connection (RFC 9110 §7.8), such as to
 * WebSocket, and then what both ends send. `onOpen` is called when the upstream has agreed.
 */
export function forwardUpgrade(
  forwarding: Forwarding,
  { client, socket, head }: { client: Http1Client; socket: TLSSocket; head: Buffer },
  onOpen: () => void,
): void {
  const protocol = client.body.headers.upgrade ?? ''
  const fields = [
    ...withoutOptions(forwarding.fields),
    'Connection',
    'Upgrade',
    'Upgrade',
    protocol,
  ]
  ask({ ...forwarding, fields }, client.method, (answer, upstreamSocket, first) => {
    const { statusMessage = '', rawHeaders } = answer
    let text = `HTTP/1.1 101 ${statusMessage || 'Switching Protocols'}\r\n`
    const kept = [...answerFields(rawHeaders), 'Connection', 'Upgrade']
    kept.push('Upgrade', valueOf(rawHeaders, 'upgrade') ?? protocol)
    for (let i = 0; i < kept.length; i += 2) text += `${kept[i]}: ${kept[i + 1]}\r\n`
    client.sink.detachSocket(socket)
    socket.write(`${text}\r\n`, 'latin1')
    onOpen()
    socket.setNoDelay(true)
    if (head.length > 0) upstreamSocket.write(head)
    tunnel(socket, upstreamSocket, first)
  })
}

/** Opens a WebSocket that was asked for by an extended CONNECT (RFC 8441) over HTTP/1.1. */
export function forwardExtendedConnect(
  forwarding: Forwarding,
  client: Http2Client,
  onOpen: () => void,
): void {
  const key = randomBytes(16).toString('base64')
  const own = ['Sec-WebSocket-Key', key, 'Connection', 'Upgrade', 'Upgrade', 'websocket']
  const asked = without(withoutOptions(forwarding.fields), 'sec-websocket-key')
  const fields = [...asked, ...own]
  if (!has(fields, 'sec-websocket-version')) fields.push('Sec-WebSocket-Version', '13')
  ask({ ...forwarding, fields }, 'GET', (answer, upstreamSocket, first) => {
    if (answer.headers['sec-websocket-accept'] !== acceptFor(key)) {
      upstreamSocket.destroy()
      const error = new Error('Its Sec-WebSocket-Accept is wrong.')
      forwarding.onNoAnswer(Object.assign(error, { code: 'HPE_WEBSOCKET_ACCEPT' }))
      return
    }
    // The length of what follows is unknown, and it has no trailers.
    client.open(without(answerFields(answer.rawHeaders), 'sec-websocket-accept'))
    onOpen()
    tunnel(client.sink, upstreamSocket, first)
  })
}

const withoutOptions = (fields: string[]): string[] =>
  ['connection', 'te', 'transfer-encoding', 'trailer', 'content-length', 'expect'].reduce(
    without,
    fields,
  )

/** RFC 6455 §4.2.2. */
const acceptFor = (key: string): string =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

/** Asks the upstream to change the protocol; an answer that refuses it is sent to the client. */
function ask(
  forwarding: Forwarding,
  method: string,
  onUpgrade: (answer: IncomingMessage, socket: Socket, first: Buffer) => void,
): void {
  const { client, upstream, upstreams, fields, onNoAnswer } = forwarding
  let outgoing: ClientRequest
  let answered = false
  function start(fresh: boolean): void {
    outgoing = upstreams.ask(upstream, { method, path: client.path, fields }, fresh)
    const invalid = (): void => {
      outgoing.destroy()
      onNoAnswer(Object.assign(new Error('Its fields are invalid.'), { code: 'ERR_INVALID_CHAR' }))
    }
    outgoing.on('upgrade', (answer, socket, first) => {
      answered = true
      socket.on('error', () => {})
      tolerate(
        () => onUpgrade(answer, socket, first),
        () => {
          socket.destroy()
          invalid()
        },
      )
    })
    outgoing.on('response', (answer) => {
      answered = true
      tolerate(() => refuse(forwarding, client, answer), invalid)
    })
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      if (answered) return
      if (!fresh && outgoing.reusedSocket && /^(?:ECONNRESET|EPIPE)$/.test(error.code ?? ''))
        return start(true)
      answered = true
      onNoAnswer(error)
    })
    outgoing.end()
  }
  client.onceClosed(() => {
    answered = true
    outgoing.destroy()
  })
  start(false)
}

function refuse(forwarding: Forwarding, client: ProxyClient, answer: IncomingMessage): void {
  const { statusCode: status = 502, statusMessage = '', headers } = answer
  const length = headers['content-length'] === undefined ? null : Number(headers['content-length'])
  const ends = hasNoBody('GET', status) || length === 0
  client.respond(
    status,
    statusMessage,
    fieldsForClient(forwarding, answer.rawHeaders, status),
    ends,
  )
  if (ends) {
    client.end(null, [])
    answer.resume()
    return
  }
  relay(client, {
    source: answer,
    length,
    trailers: () => (answer.complete ? [] : null),
    onStart: hintFinder(forwarding, status),
    onWhole: () => {},
  })
}

/** How long a client may keep a connection open whose other end is gone. */
const halfOpenMilliseconds = 1_000

/** Sends on what both ends send, until one of them ends or breaks off. */
function tunnel(client: Duplex, upstream: Socket, first: Buffer): void {
  upstream.setNoDelay(true)
  upstream.setTimeout(0)
  if (first.length > 0) client.write(first)
  upstream.pipe(client)
  client.pipe(upstream)
  client.on('error', () => upstream.destroy())
  // What was written goes out first.
  client.once('close', () => upstream.destroySoon())
  upstream.on('error', () => client.destroy(new Error('The upstream broke off the connection.')))
  upstream.once('close', () => {
    // Ended by `pipe` if it was whole; then its last octets are still on their way.
    if (client.destroyed) return
    if (!upstream.readableEnded)
      return void client.destroy(new Error('The upstream broke off the connection.'))
    const timer = setTimeout(() => client.destroy(), halfOpenMilliseconds)
    client.once('close', () => clearTimeout(timer))
  })
}
