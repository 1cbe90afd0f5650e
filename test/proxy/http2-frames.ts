import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import { secure, type Target } from './clients.ts'

/** Frames of HTTP/2 as bare octets (RFC 9113 §4.1), for what no client library sends. */
export const types = {
  data: 0,
  headers: 1,
  reset: 3,
  settings: 4,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

export function http2Frame(
  type: keyof typeof types,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = types[type]
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

export const endStream = 1
const endHeaders = 4

/** The fields of a request (RFC 7541), none of which enters the table of the connection. */
export function fieldBlock(target: Target, path: string, method: 'GET' | 'POST' = 'GET'): Buffer {
  const literal = (index: number, text: string): Buffer =>
    Buffer.concat([Buffer.from([index, text.length]), Buffer.from(text)])
  return Buffer.concat([
    Buffer.from([method === 'GET' ? 0x82 : 0x83, 0x87]),
    literal(4, path),
    literal(1, `${target.host}:${target.port}`),
  ])
}

export const request = (target: Target, stream: number, path: string, flags = endStream): Buffer =>
  http2Frame(
    'headers',
    flags | endHeaders,
    stream,
    fieldBlock(target, path, flags === 0 ? 'POST' : 'GET'),
  )

/** Settings by number and value (RFC 9113 §6.5.2). */
export function settings(values: Readonly<Record<number, number>> = {}): Buffer {
  const payload = Object.entries(values).map(([id, value]) => {
    const one = Buffer.alloc(6)
    one.writeUInt16BE(Number(id))
    one.writeUInt32BE(value, 2)
    return one
  })
  return http2Frame('settings', 0, 0, Buffer.concat(payload))
}

/** Opens a connection on which nothing but the preface was sent. */
export async function openBare(
  target: Target,
  values: Readonly<Record<number, number>> = {},
): Promise<TLSSocket> {
  const socket = secure(target, ['h2'])
  await once(socket, 'secureConnect')
  socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), settings(values)]))
  return socket
}

/**
 * Writes octets up to `times` times. Returns `closed` when the proxy closes the connection before, `stuck`
 * when it takes no more of them, since its answers are not read, and `taken` for all of them.
 */
export async function flood(
  socket: TLSSocket,
  octets: () => Buffer,
  times: number,
): Promise<'closed' | 'stuck' | 'taken'> {
  const closed = new Promise<'closed'>((resolve) => {
    socket.once('close', () => resolve('closed'))
  })
  for (let turn = 0; turn < times; turn++) {
    if (socket.destroyed) return 'closed'
    if (socket.write(octets())) continue
    const drained = new Promise<'drained'>((resolve) => {
      socket.once('drain', () => resolve('drained'))
    })
    const stuck = new Promise<'stuck'>((resolve) => {
      setTimeout(() => resolve('stuck'), 3_000)
    })
    const said = await Promise.race([drained, closed, stuck])
    if (said !== 'drained') return said
  }
  return 'taken'
}

/** Calls `onFrame` with the type and the stream of each frame that comes. */
export function readFrames(
  socket: TLSSocket,
  onFrame: (type: number, stream: number) => void,
): void {
  let held = Buffer.alloc(0)
  socket.on('data', (part: Buffer) => {
    held = Buffer.concat([held, part])
    while (held.length >= 9 && held.length >= 9 + held.readUIntBE(0, 3)) {
      onFrame(held[3] ?? 0, held.readUInt32BE(5))
      held = held.subarray(9 + held.readUIntBE(0, 3))
    }
  })
}
