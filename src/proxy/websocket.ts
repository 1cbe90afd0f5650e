import { createHash, randomBytes } from 'node:crypto'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Http1Client } from './client-http1.ts'
import type { Http2Client } from './client-http2.ts'
import type { AnswerHead } from './answer-head.ts'
import { answerFields, has, valueOf, without } from './fields.ts'
import type { Forwarding } from './forward.ts'
import { forwardUpgrading } from './forward-http1.ts'

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
  ask({ ...forwarding, fields }, client.method, ({ message, fields }, upstreamSocket, first) => {
    const agreed = valueOf(fields, 'upgrade') ?? protocol
    if (agreed.toLowerCase() !== protocol.toLowerCase()) throw new Error('Another was asked for.')
    let text = `HTTP/1.1 101 ${message || 'Switching Protocols'}\r\n`
    const kept = without(answerFields(fields), 'content-length')
    kept.push('Connection', 'Upgrade', 'Upgrade', agreed)
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
  ask({ ...forwarding, fields }, 'GET', ({ fields }, upstreamSocket, first) => {
    if (valueOf(fields, 'sec-websocket-accept') !== acceptFor(key)) {
      upstreamSocket.destroy()
      const error = new Error('Its Sec-WebSocket-Accept is wrong.')
      forwarding.onNoAnswer(Object.assign(error, { code: 'ERR_INVALID_ANSWER' }))
      return
    }
    // The length of what follows is unknown, and it has no trailers.
    client.open(without(answerFields(fields), 'sec-websocket-accept'))
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
  onUpgrade: (answer: AnswerHead, socket: Duplex, first: Buffer) => void,
): void {
  forwardUpgrading(forwarding, {
    method,
    onUpgrade(answer, socket, first) {
      socket.on('error', () => {})
      try {
        onUpgrade(answer, socket, first)
      } catch {
        socket.destroy()
        const error = new Error('Its fields are invalid.')
        forwarding.onNoAnswer(Object.assign(error, { code: 'ERR_INVALID_CHAR' }))
      }
    },
  })
}

/** How long a client may keep a connection open whose other end is gone. */
const halfOpenMilliseconds = 1_000

/** Sends on what both ends send, until one of them ends or breaks off. */
function tunnel(client: Duplex, upstream: Duplex, first: Buffer): void {
  if (first.length > 0) client.write(first)
  upstream.pipe(client)
  client.pipe(upstream)
  client.on('error', () => upstream.destroy())
  // What was written goes out first.
  client.once('close', () => endAndDestroy(upstream))
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

/** Closes a connection once what was written to it has gone out. */
function endAndDestroy(connection: Duplex): void {
  if (connection instanceof Socket) connection.destroySoon()
  else connection.end(() => connection.destroy())
}
