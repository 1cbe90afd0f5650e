import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect, type TLSSocket } from 'node:tls'
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test } from 'vitest'
import { startDaemon, type Daemon } from '../../acme/daemon.ts'
import { RawClient } from '../../acme/raw.ts'

let daemon: Daemon
let ca: string
beforeAll(async () => {
  daemon = await startDaemon()
  ca = await daemon.root()
})
afterAll(() => daemon.close())
afterEach(() => unharmed())

/** A client that came just now is served, and the daemon never took much memory. */
async function unharmed(): Promise<void> {
  const client = await new RawClient(daemon.acme, ca).start()
  expect((await client.order(['honest.localhost'])).status).toBe(201)
  client.close()
  if (process.platform !== 'linux') return
  const status = await readFile(`/proc/${daemon.pid}/status`, 'utf8')
  // An idle one takes about 90 MiB.
  expect(Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) / 1024).toBeLessThan(300)
}

const types = { headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, continuation: 9 }

/** RFC 9113 §4.1. */
function frame(type: keyof typeof types, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(types[type], 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

// HPACK: GET, https, /, and localhost as a literal (RFC 7541 appendix A and §6.2.2).
const get = Buffer.concat([Buffer.from([0x82, 0x87, 0x84, 0x01, 9]), Buffer.from('localhost')])
const [endStream, endHeaders] = [1, 4]

/** A connection that has said hello. */
async function hello(): Promise<TLSSocket> {
  const options = { port: daemon.port, host: '127.0.0.1', ca, servername: 'localhost' }
  const socket = connect({ ...options, ALPNProtocols: ['h2'] })
  onTestFinished(() => void socket.destroy())
  await once(socket, 'secureConnect')
  socket.on('error', () => {})
  socket.setMaxListeners(0)
  socket.resume()
  socket.write(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'))
  socket.write(frame('settings', 0, 0, Buffer.alloc(0)))
  return socket
}

/** Sends until the other end closes, or everything is sent. Gives whether it said GOAWAY or closed. */
async function flood(frames: (i: number) => Buffer, count: number): Promise<boolean> {
  const socket = await hello()
  let heard = Buffer.alloc(0)
  let ended = false
  socket.on('data', (data: Buffer) => {
    heard = Buffer.concat([heard, data])
    while (heard.length >= 9 && heard.length >= 9 + heard.readUIntBE(0, 3)) {
      ended ||= heard[3] === types.goAway
      heard = heard.subarray(9 + heard.readUIntBE(0, 3))
    }
  })
  for (const event of ['end', 'close']) socket.once(event, () => (ended = true))
  for (let i = 0; i < count && !socket.destroyed && socket.writable; i += 100) {
    const some = Array.from({ length: 100 }, (_, j) => frames(i + j))
    if (!socket.write(Buffer.concat(some))) await drained(socket)
  }
  for (let i = 0; i < 100 && !ended; i++) await wait(100)
  return ended
}

/** Until it can send again, is closed, or a second has passed. */
const drained = (socket: TLSSocket): Promise<void> =>
  new Promise((resolve) => {
    for (const event of ['drain', 'close']) socket.once(event, () => resolve())
    setTimeout(resolve, 1_000)
  })

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))

test('rapid reset ends the connection (CVE-2023-44487)', async () => {
  const ended = await flood((i) => {
    const stream = 2 * i + 1
    const reset = frame('reset', 0, stream, Buffer.from([0, 0, 0, 8]))
    return Buffer.concat([frame('headers', endStream | endHeaders, stream, get), reset])
  }, 100_000)
  expect(ended).toBe(true)
})

test('a head that is continued without end does too (CVE-2024-27316)', async () => {
  const filler = Buffer.concat([
    Buffer.from([0x00, 1, 0x61, 0x7f, 0x81, 0x0f]),
    Buffer.alloc(2_048, 0x61),
  ])
  const ended = await flood(
    (i) => (i === 0 ? frame('headers', endStream, 1, get) : frame('continuation', 0, 1, filler)),
    20_000,
  )
  expect(ended).toBe(true)
})

test('SETTINGS and PING without end do as well (CVE-2019-9515, CVE-2019-9512)', async () => {
  const settings = frame('settings', 0, 0, Buffer.from([0, 3, 0, 0, 0, 1]))
  expect(await flood(() => settings, 100_000)).toBe(true)
  const ping = frame('ping', 0, 0, Buffer.alloc(8))
  expect(await flood(() => ping, 100_000)).toBe(true)
})

test('many connections with as many streams as they may have, none of them whole, take little', async () => {
  const sockets = await Promise.all(Array.from({ length: 50 }, hello))
  const streams = Array.from({ length: 100 }, (_, i) =>
    frame('headers', endHeaders, 2 * i + 1, Buffer.concat([Buffer.from([0x83]), get.subarray(1)])),
  )
  for (const socket of sockets) socket.write(Buffer.concat(streams))
  await wait(1_000)
  expect(sockets.filter((socket) => !socket.destroyed).length).toBeGreaterThan(0)
})
