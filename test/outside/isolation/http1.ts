import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

/** One of the daemon's ports: `ca` for those that speak TLS. */
export interface Port {
  readonly port: number
  readonly host?: string
  readonly ca?: string
}

/** What came back over a socket: the head in lines, the body as text; status 0 when nothing did. */
export interface Heard {
  readonly status: number
  readonly head: string
  readonly body: string
}

/** Throws where nobody listens. */
export async function open({ port, host = '127.0.0.1', ca }: Port): Promise<Socket> {
  const options = { port, host, ca, servername: 'localhost', ALPNProtocols: ['http/1.1'] }
  const socket = ca === undefined ? connectTcp(options) : connectTls(options)
  await once(socket, ca === undefined ? 'connect' : 'secureConnect')
  socket.on('error', () => {})
  return socket
}

/** Sends bytes as they stand, such as no client would make them, and hears until the other end closes. */
export async function speak(port: Port, lines: readonly string[], body = ''): Promise<Heard> {
  const socket = await open(port)
  socket.setTimeout(200_000, () => socket.destroy())
  socket.write(`${[...lines, 'Connection: close'].join('\r\n')}\r\n\r\n${body}`)
  return hear(socket)
}

/** Whatever the other end still says before it closes. */
export async function hear(socket: Socket): Promise<Heard> {
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  if (!socket.closed) await once(socket, 'close')
  const [head = '', ...rest] = text.split('\r\n\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0)
  return { status, head, body: rest.join('\r\n\r\n') }
}
