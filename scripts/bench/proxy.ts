import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type TLSSocket } from 'node:tls'
import { ephemeralAuthority } from '../../src/ephemeral/index.ts'
import { npmProgram } from '../../test/helpers/npm-program.ts'
import { scrubbedEnvironment } from '../../test/helpers/scrubbed.ts'
import { run } from '../../test/helpers/subprocess.ts'
import { startApp } from '../../test/proxy/app.ts'
import { frame, frameReader } from '../../test/proxy/frames.ts'
import {
  startCaddy,
  startNginx,
  startNginxApp,
  startPortless,
  startRootling,
  type Proxy,
  type ProxySetting,
  type Started,
} from '../../test/proxy/proxies.ts'
import { median, quantile, type Benchmark, type Row } from './benchmark.ts'
import { cpuSeconds, residentMiB } from './servers.ts'

/**
 * Measures the proxy behind TLS beside Caddy, portless and nginx. Each has the same core alone, and the
 * load and the app have the other; what counts is the CPU time that a request costs, which is the
 * same on a machine that others use too.
 *
 * Profiles show no function of the proxy's own above 2 %. With 1 KiB, the garbage collector takes a
 * fifth to a third of the time and Node's streams a quarter: each request makes some 18 KB of objects,
 * most of them Node's. With 100 KiB over HTTP/1.1, encrypting and writing take half of it. nginx, which
 * makes no objects, needs a third of the time for 1 KiB and half of it for 100 KiB.
 */
export const proxy: Benchmark = {
  name: 'proxy',
  async run({ quick }) {
    const directory = await mkdtemp(join(tmpdir(), 'rootling-bench-proxy-'))
    const running: { stop(): Promise<void> | void }[] = []
    try {
      const world = await openProxies(directory, running)
      const rows: Row[] = []
      for (const load of loads) rows.push(...(await measureLoad(world, load, quick)))
      rows.push(...(await measureWebSockets(world, quick)))
      return rows
    } finally {
      for (const each of running.toReversed()) await each.stop()
      await rm(directory, { recursive: true, force: true })
    }
  },
}

const host = 'app.localhost'

interface World {
  readonly directory: string
  readonly root: string
  /** By name, before nginx as app. */
  readonly proxies: ReadonlyMap<string, Proxy>
  /** By name, before an app that speaks WebSocket. */
  readonly sockets: ReadonlyMap<string, Proxy>
}

async function openProxies(
  directory: string,
  running: { stop(): Promise<void> | void }[],
): Promise<World> {
  const authority = await ephemeralAuthority()
  const pair = await authority.certificate([host, '127.0.0.1'])
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  await writeFile(cert, pair.cert)
  await writeFile(key, pair.key, { mode: 0o600 })
  await writeFile(join(directory, 'k1'), Buffer.alloc(1_024, 'a'))
  await writeFile(join(directory, 'k100'), Buffer.alloc(102_400, 'a'))
  const client = ['taskset', '-c', '0']
  const setting = { directory, cert, key, host, appPort: 0, prefix: client }
  const app = await startNginxApp(setting)
  if ('missing' in app) throw new Error(app.missing)
  running.push(app.proxy)
  const echo = await startApp()
  running.push({ stop: () => echo.close() })
  const node24 = await npmProgram(
    `node-${process.platform}-${process.arch}@24`,
    'bin/node',
    'rootling-node24',
  )
  const starters: Record<string, (own: ProxySetting) => Promise<Started>> = {
    Rootling: async (own) => ({ proxy: await startRootling(own) }),
    'Rootling by Node 24': async (own) =>
      node24.program === null
        ? { missing: node24.missing }
        : { proxy: await startRootling(own, node24.program) },
    Caddy: startCaddy,
    portless: startPortless,
    nginx: startNginx,
  }
  const open = async (appPort: number): Promise<Map<string, Proxy>> => {
    const found = new Map<string, Proxy>()
    for (const [name, start] of Object.entries(starters)) {
      const own = await mkdtemp(join(directory, 'own-'))
      const started = await start({
        ...setting,
        directory: own,
        appPort,
        prefix: ['taskset', '-c', '1'],
        env: { GOMAXPROCS: '1' },
      })
      if ('missing' in started) process.stderr.write(`${name}: ${started.missing}\n`)
      else {
        found.set(name, started.proxy)
        running.push(started.proxy)
      }
    }
    return found
  }
  const proxies = await open(app.proxy.port)
  const sockets = await open(echo.port)
  return { directory, root: authority.root, proxies, sockets }
}

interface Load {
  readonly what: string
  readonly path: string
  readonly requests: number
  readonly options: readonly string[]
  /** The least ratio of requests in a second of CPU time to those of a peer. */
  readonly bars: Readonly<Record<string, number>>
}

const http1 = ['--h1', '-c', '16']
const http2 = ['-c', '8', '-m', '8']
const loads: readonly Load[] = [
  { what: '1 KiB, HTTP/1.1', path: '/k1', requests: 8_000, options: http1, bars: { Caddy: 1 } },
  {
    what: '1 KiB, HTTP/2',
    path: '/k1',
    requests: 8_000,
    options: http2,
    bars: { Caddy: 1.5, portless: 2 },
  },
  { what: '100 KiB, HTTP/1.1', path: '/k100', requests: 2_000, options: http1, bars: { Caddy: 1 } },
  { what: '100 KiB, HTTP/2', path: '/k100', requests: 2_000, options: http2, bars: { Caddy: 1 } },
]

interface Measured {
  /** Requests in a second of CPU time. */
  readonly rate: number[]
  /** Milliseconds of each request. */
  readonly latencies: number[]
}

async function measureLoad({ proxies, directory }: World, load: Load, quick: boolean) {
  const measured = new Map<string, Measured>()
  for (const name of proxies.keys()) measured.set(name, { rate: [], latencies: [] })
  const requests = quick ? load.requests / 4 : load.requests
  for (let round = 0; round < (quick ? 2 : 3); round++)
    for (const [name, each] of proxies) {
      const { rate, latencies } = measured.get(name) as Measured
      const before = await cpuSeconds(each.pid)
      const log = join(directory, 'latencies')
      await askMany(each.port, load, requests, log)
      const seconds = (await cpuSeconds(each.pid)) - before
      // The first round warms up.
      if (round === 0) continue
      rate.push(requests / Math.max(0.01, seconds))
      for (const line of (await readFile(log, 'utf8')).trim().split('\n'))
        latencies.push(Number(line.split('\t')[2]) / 1_000)
    }
  const rows: Row[] = []
  for (const ours of ['Rootling', 'Rootling by Node 24'])
    for (const peer of ['Caddy', 'portless', 'nginx']) {
      const [own, other] = [measured.get(ours), measured.get(peer)]
      if (own === undefined || other === undefined) continue
      const bar = load.bars[peer]
      const suffix = ours === 'Rootling' ? '' : ', Node 24'
      rows.push({
        name: `proxy, ${load.what}${suffix}, requests in a second of CPU time`,
        unit: '/s',
        ours: median(own.rate),
        peer: { name: peer, value: median(other.rate) },
        bar: bar === undefined ? null : { at: 'least', value: bar },
      })
      rows.push({
        name: `proxy, ${load.what}${suffix}, 99th percentile`,
        unit: 'ms',
        ours: quantile(own.latencies, 0.99),
        peer: { name: peer, value: quantile(other.latencies, 0.99) },
        bar: null,
      })
    }
  return rows
}

/** Throws unless all requests were answered by 2xx. */
async function askMany(port: number, { path, options }: Load, requests: number, log: string) {
  await rm(log, { force: true })
  const url = `https://${host}:${port}${path}`
  const to = [`--connect-to=127.0.0.1:${port}`, `--log-file=${log}`]
  const load = ['-c', '0', 'h2load', '-n', String(requests), ...options, ...to, url]
  const { stdout } = await run('taskset', load, scrubbedEnvironment('/tmp'))
  if (!stdout.includes(`status codes: ${requests} 2xx`)) throw new Error(stdout.slice(-1_500))
}

async function measureWebSockets({ sockets, root }: World, quick: boolean): Promise<Row[]> {
  const idle = quick ? 100 : 1_000
  const messages = quick ? 4_000 : 40_000
  const rates = new Map<string, number>()
  const memory = new Map<string, number>()
  for (const [name, { port, pid }] of sockets) {
    if (name === 'nginx') continue
    await echoMany(port, root, messages / 4)
    const before = await cpuSeconds(pid)
    await echoMany(port, root, messages)
    rates.set(name, messages / Math.max(0.01, (await cpuSeconds(pid)) - before))
    const resident = await residentMiB(pid)
    const open: TLSSocket[] = []
    // In groups, since a server accepts a few hundred at once.
    while (open.length < idle)
      open.push(...(await Promise.all(Array.from({ length: 50 }, () => openSocket(port, root)))))
    await new Promise((resolve) => setTimeout(resolve, 500))
    memory.set(name, (await residentMiB(pid)) - resident)
    for (const socket of open) socket.destroy()
  }
  return ['Caddy', 'portless'].flatMap((peer): Row[] => [
    {
      name: 'proxy, WebSocket echoes in a second of CPU time',
      unit: '/s',
      ours: rates.get('Rootling') ?? 0,
      peer: { name: peer, value: rates.get(peer) ?? 0 },
      bar: null,
    },
    {
      name: `proxy, memory of ${idle.toLocaleString('en')} idle WebSockets`,
      unit: 'MiB',
      ours: memory.get('Rootling') ?? 0,
      peer: { name: peer, value: memory.get(peer) ?? 0 },
      bar: null,
    },
  ])
}

async function openSocket(port: number, ca: string) {
  const socket = connect({ host: '127.0.0.1', port, ca, servername: host })
  socket.on('error', () => {})
  socket.write(
    `GET /ws HTTP/1.1\r\nHost: ${host}:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  )
  const [head] = (await once(socket, 'data', { signal: AbortSignal.timeout(60_000) })) as [Buffer]
  if (!head.toString().startsWith('HTTP/1.1 101')) throw new Error(head.toString())
  return socket
}

/** Sends messages one after the other over each of 16 WebSockets. */
async function echoMany(port: number, ca: string, messages: number): Promise<void> {
  const message = frame(Buffer.alloc(64, 'x'), true)
  const one = async (): Promise<void> => {
    const socket = await openSocket(port, ca)
    let left = messages / 16
    await new Promise<void>((resolve) => {
      const read = frameReader(() => {
        if (--left <= 0) resolve()
        else socket.write(message)
      })
      socket.on('data', read)
      socket.write(message)
    })
    socket.destroy()
  }
  await Promise.all(Array.from({ length: 16 }, one))
}
