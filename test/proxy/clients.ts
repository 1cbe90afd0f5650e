import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import {
  connect as connectHttp2,
  type ClientHttp2Session,
  type ClientHttp2Stream,
} from 'node:http2'
import type { OutgoingHttpHeaders } from 'node:http2'
import { request as askHttps } from 'node:https'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { onTestFinished } from 'vitest'

/** A proxy under test, with the host that it forwards to the app. */
export interface Target {
  readonly port: number
  readonly ca: string
  readonly host: string
}

export interface Answered {
  readonly status: number | null
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly raw: readonly string[]
  readonly body: Buffer
  readonly trailers: Readonly<Record<string, string | undefined>>
  readonly interim: readonly number[]
  /** Why the answer is not whole; `null`: it is. */
  readonly error: string | null
}

export interface Asked {
  readonly method?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: Buffer | string
  readonly trailers?: Record<string, string>
}

const authorityOf = ({ host, port }: Target): string => `${host}:${port}`

/** Asks over HTTP/1.1, on a connection of its own. */
export function ask1(target: Target, path: string, asked: Asked = {}): Promise<Answered> {
  const { method = 'GET', headers = {}, body, trailers } = asked
  return new Promise((resolve) => {
    const interim: number[] = []
    const request = askHttps({
      host: '127.0.0.1',
      port: target.port,
      ca: target.ca,
      servername: target.host,
      agent: false,
      path,
      method,
      headers: { Host: authorityOf(target), ...headers },
    })
    request.on('information', ({ statusCode }) => interim.push(statusCode))
    const none = { status: null, headers: {}, raw: [], body: Buffer.alloc(0), trailers: {} }
    request.once('error', (error) => resolve({ ...none, interim, error: error.message }))
    request.once('response', (response: IncomingMessage) => {
      const parts: Buffer[] = []
      const finish = (error: string | null): void =>
        resolve({
          status: response.statusCode ?? null,
          headers: response.headers,
          raw: response.rawHeaders,
          body: Buffer.concat(parts),
          trailers: response.trailers,
          interim,
          error,
        })
      response.on('data', (part: Buffer) => parts.push(part))
      response.once('end', () => finish(response.complete ? null : 'incomplete'))
      response.once('error', (error) => finish(error.message))
    })
    if (trailers !== undefined) request.addTrailers(trailers)
    request.end(body)
  })
}

/** Opens an HTTP/2 connection, which is closed when the test ends. */
export async function openHttp2(target: Target): Promise<ClientHttp2Session> {
  const session = connectHttp2(`https://${authorityOf(target)}`, {
    createConnection: () => secure(target, ['h2']),
  })
  session.on('error', () => {})
  onTestFinished(() => session.destroy())
  await once(session, 'remoteSettings')
  return session
}

export function secure(target: Target, ALPNProtocols: string[]): TLSSocket {
  const { port, ca, host: servername } = target
  const socket = connectTls({ host: '127.0.0.1', port, ca, servername, ALPNProtocols })
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return socket
}

/** Asks over HTTP/2, on a connection of its own. */
export async function ask2(target: Target, path: string, asked: Asked = {}): Promise<Answered> {
  const session = await openHttp2(target)
  const { method = 'GET', headers = {}, body, trailers } = asked
  const stream = session.request(
    { ':path': path, ':method': method, ':authority': authorityOf(target), ...headers },
    {
      endStream: body === undefined && trailers === undefined,
      waitForTrailers: trailers !== undefined,
    },
  )
  if (trailers !== undefined) stream.once('wantTrailers', () => stream.sendTrailers(trailers))
  const answer = answerOf(stream)
  // Node's client breaks off a long write during which the answer ends.
  const parts = body === undefined ? [] : partsOf(Buffer.from(body))
  stream.setMaxListeners(0)
  for (const part of parts)
    if (!stream.write(part)) {
      const drained = new Promise((resolve) => void stream.once('drain', resolve))
      await Promise.race([drained, answer])
    }
  if (body !== undefined || trailers !== undefined) stream.end()
  const answered = await answer
  session.close()
  return answered
}

const partsOf = (body: Buffer): Buffer[] =>
  Array.from({ length: Math.ceil(body.length / 65_536) }, (_, i) =>
    body.subarray(i * 65_536, (i + 1) * 65_536),
  )

export function answerOf(stream: ClientHttp2Stream): Promise<Answered> {
  return new Promise((resolve) => {
    const parts: Buffer[] = []
    const interim: number[] = []
    let status: number | null = null
    let headers = {}
    let trailers = {}
    let error: string | null = null
    stream.on('headers', (each) => void interim.push(Number(each[':status'])))
    stream.once('response', (each) => {
      status = Number(each[':status'])
      headers = each
    })
    stream.once('trailers', (each) => (trailers = { ...each }))
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('error', (each) => (error = each.message))
    stream.once('close', () => {
      const raw = Object.entries(headers).flat().map(String)
      const body = Buffer.concat(parts)
      const reset = stream.rstCode === 0 ? null : `reset ${stream.rstCode}`
      resolve({ status, headers, raw, body, trailers, interim, error: error ?? reset })
    })
  })
}

/** Sends text over TLS, and returns all that comes until the connection ends or `done` likes it. */
export async function speak(
  target: Target,
  text: string,
  done: (answer: string) => boolean = () => false,
): Promise<string> {
  const socket = secure(target, ['http/1.1'])
  await once(socket, 'secureConnect')
  let answer = ''
  return new Promise((resolve) => {
    socket.on('data', (part: Buffer) => {
      answer += part.toString('latin1')
      if (!done(answer)) return
      socket.destroy()
    })
    socket.once('close', () => resolve(answer))
    socket.write(text, 'latin1')
  })
}

/** Returns the status of the first answer in a text; `null`: there is none. */
export function statusIn(text: string): number | null {
  const status = /^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]
  return status === undefined ? null : Number(status)
}
