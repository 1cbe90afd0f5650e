import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { npmProgram } from '../helpers/npm-program.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'
import { startApp, type App } from './app.ts'
import { ask1, ask2, secure, type Target } from './clients.ts'
import { authority } from './harness.ts'
import {
  endStream,
  fieldBlock,
  flood,
  http2Frame,
  openBare,
  readFrames,
  request,
  settings,
  types,
} from './http2-frames.ts'
import { startRootling, type Proxy, type ProxySetting } from './proxies.ts'

// What attackers send, to a proxy in a process of its own: its memory stays small, and others are
// answered meanwhile.

let app: App
let proxy: Proxy
let target: Target
let setting: Omit<ProxySetting, 'appPort'>

beforeAll(async () => {
  app = await startApp()
  const directory = await temporaryDirectory()
  const { authority: ca, pair } = await authority()
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  await writeFile(cert, pair.cert)
  await writeFile(key, pair.key, { mode: 0o600 })
  const host = 'app.localhost'
  setting = { directory, cert, key, host }
  proxy = await startRootling({ ...setting, appPort: app.port })
  target = { port: proxy.port, ca: ca.root, host }
})

afterAll(async () => {
  await proxy?.stop()
  app?.close()
})

const MiB = 1_048_576

async function residentMiB(): Promise<number> {
  const status = await readFile(`/proc/${proxy.pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1_024
}

/** Attacks while others ask; returns by how many MiB the memory grew at the most. */
async function under(attack: () => Promise<unknown>): Promise<number> {
  await Promise.all([ask1(target, '/'), ask2(target, '/')])
  const before = await residentMiB()
  let most = before
  let done = false
  const answers: (number | null)[] = []
  const watch = async (): Promise<void> => {
    while (!done) {
      answers.push((await ask1(target, '/')).status, (await ask2(target, '/')).status)
      most = Math.max(most, await residentMiB())
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const watching = watch()
  try {
    await attack()
  } finally {
    done = true
    await watching
  }
  expect(answers.length).toBeGreaterThan(0)
  expect(answers.filter((status) => status !== 200)).toEqual([])
  return most - before
}

const isClosed = (socket: Socket): boolean => socket.destroyed

/** The most that an attack may make the memory grow: what the garbage collector lets gather, and a little. */
const mostMiB = 128

async function startPlain(): Promise<Socket> {
  const socket = connect(target.port, '127.0.0.1')
  socket.on('error', () => {}).resume()
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

test('garbage in place of TLS, and handshakes that stop halfway', async () => {
  const grown = await under(async () => {
    const sockets = await Promise.all(Array.from({ length: 300 }, startPlain))
    sockets.forEach((socket, i) => {
      // A ClientHello's first octets, a record of another kind, and no record.
      const first = [Buffer.from([22, 3, 1, 2, 0, 1, 0, 1]), Buffer.from([21, 3, 1, 0, 2, 2, 40])]
      socket.write(first[i % 3] ?? Buffer.alloc(70_000, 0xff))
    })
    // Closed when the time for a handshake is over, or before.
    await expect.poll(() => sockets.every(isClosed), { interval: 100 }).toBe(true)
  })
  expect(grown).toBeLessThan(mostMiB)
})

test('heads that come slowly', async () => {
  const grown = await under(async () => {
    const sockets = Array.from({ length: 200 }, (_, i) =>
      secure(target, [i % 2 ? 'h2' : 'http/1.1']),
    )
    await Promise.all(sockets.map((socket) => once(socket, 'secureConnect')))
    sockets.forEach((socket, i) => socket.write(i % 2 ? 'PRI * HT' : 'GET / HTTP/1.1\r\nX: '))
    const timer = setInterval(() => sockets.forEach((socket) => socket.write('a')), 500)
    await expect.poll(() => sockets.every(isClosed), { interval: 100 }).toBe(true)
    clearInterval(timer)
  })
  expect(grown).toBeLessThan(mostMiB)
})

const batch = (one: Buffer, times: number): Buffer =>
  Buffer.concat(Array.from({ length: times }, () => one))

test.each<[string, Buffer]>([
  ['SETTINGS', batch(settings({ 3: 100 }), 1_000)],
  ['PING', batch(http2Frame('ping', 0, 0, Buffer.alloc(8)), 1_000)],
  ['WINDOW_UPDATE', batch(http2Frame('windowUpdate', 0, 0, Buffer.from([0, 0, 0, 0])), 1_000)],
  ['frames of unknown types', batch(Buffer.from([0, 0, 1, 0xbb, 0, 0, 0, 0, 0, 7]), 1_000)],
])('a flood of %s, by a client that reads nothing', async (name, octets) => {
  const grown = await under(async () => {
    const socket = await openBare(target)
    socket.pause()
    const said = await flood(socket, () => octets, 300)
    // Frames that nobody knows are dropped (RFC 9113 §4.1), which costs nothing but time.
    if (name === 'frames of unknown types') return
    socket.resume()
    if (said !== 'stuck') await expect.poll(() => isClosed(socket)).toBe(true)
  })
  expect(grown).toBeLessThan(mostMiB)
})

/** Requests that are cancelled at once. */
const cancelled = (of: Target, times: number, next: () => number): Buffer =>
  Buffer.concat(
    Array.from({ length: times }, () => {
      const stream = next()
      const cancel = http2Frame('reset', 0, stream, Buffer.from([0, 0, 0, 8]))
      return Buffer.concat([request(of, stream, '/'), cancel])
    }),
  )

test('requests that are cancelled at once, without end', async () => {
  const grown = await under(async () => {
    const socket = await openBare(target)
    socket.resume()
    let stream = -1
    await flood(socket, () => cancelled(target, 100, () => (stream += 2)), 500)
  })
  expect(grown).toBeLessThan(mostMiB)
  await expect.poll(() => app.open()).toBe(0)
})

test('pages that cancel requests by the thousand keep their connection, but under Node 20', async () => {
  const { platform, arch } = process
  const newer = await npmProgram(`node-${platform}-${arch}@24`, 'bin/node', 'rootling-node24')
  for (const node of [process.execPath, ...(newer.program === null ? [] : [newer.program])]) {
    const isOld = node === process.execPath && process.versions.node.startsWith('20.')
    const started = await startRootling({ ...setting, appPort: app.port }, node)
    onTestFinished(() => started.stop())
    const own = { ...target, port: started.port }
    const socket = await openBare(own)
    const seen = { goneAway: false, answered: false }
    let stream = -1
    readFrames(socket, (type, of) => {
      if (type === types.goaway) seen.goneAway = true
      if (type === types.headers && of === stream) seen.answered = true
    })
    await flood(socket, () => cancelled(own, 100, () => (stream += 2)), 60)
    stream += 2
    socket.write(request(own, stream, '/'))
    if (isOld) await expect.poll(() => seen.goneAway).toBe(true)
    else {
      await expect.poll(() => seen.answered).toBe(true)
      expect(seen.goneAway).toBe(false)
    }
    socket.destroy()
  }
})

test('fields that go on in CONTINUATION without end', async () => {
  const grown = await under(async () => {
    const socket = await openBare(target)
    socket.resume()
    socket.write(http2Frame('headers', endStream, 1, fieldBlock(target, '/')))
    const field = Buffer.concat([Buffer.from([0, 1, 120, 100]), Buffer.alloc(100, 'y')])
    const frames = batch(http2Frame('continuation', 0, 1, batch(field, 100)), 10)
    await flood(socket, () => frames, 500)
    await expect.poll(() => isClosed(socket)).toBe(true)
  })
  expect(grown).toBeLessThan(mostMiB)
})

test('DATA without data, without end', async () => {
  const grown = await under(async () => {
    const socket = await openBare(target)
    socket.resume()
    socket.write(request(target, 1, '/sink', 0))
    const frames = batch(http2Frame('data', 0, 1), 1_000)
    await flood(socket, () => frames, 300)
    await expect.poll(() => isClosed(socket)).toBe(true)
  })
  expect(grown).toBeLessThan(mostMiB)
})

test('windows of 0 for many large answers', async () => {
  const sockets: TLSSocket[] = []
  const grown = await under(async () => {
    for (let i = 0; i < 2; i++) {
      // SETTINGS_INITIAL_WINDOW_SIZE
      const socket = await openBare(target, { 4: 0 })
      sockets.push(socket)
      socket.resume()
      for (let stream = 1; stream < 100; stream += 2)
        socket.write(request(target, stream, `/big?size=${100 * MiB}`))
    }
    await new Promise((resolve) => setTimeout(resolve, 3_000))
  })
  expect(sockets.some(isClosed)).toBe(false)
  // For each of 100 answers, what was read of it before its client was known not to read.
  expect(grown).toBeLessThan(mostMiB)
})

test('a body that comes slowly keeps none of the others waiting', async () => {
  const grown = await under(async () => {
    const sockets = await Promise.all(Array.from({ length: 50 }, () => openBare(target)))
    for (const socket of sockets) {
      socket.resume()
      socket.write(request(target, 1, '/sink', 0))
    }
    for (let turn = 0; turn < 10; turn++) {
      for (const socket of sockets) socket.write(http2Frame('data', 0, 1, Buffer.from('a')))
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })
  expect(grown).toBeLessThan(mostMiB)
})
