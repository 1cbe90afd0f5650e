import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, get } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { scrubbedEnvironment } from '../../test/helpers/scrubbed.ts'
import { run, start, terminate } from '../../test/helpers/subprocess.ts'
import { median, type Benchmark } from './benchmark.ts'

const library = JSON.stringify(join(process.cwd(), 'dist/library/index.js'))
const names = "['localhost', '127.0.0.1', '::1']"

/**
 * Measures the entry `rootling` in fresh processes: loading it, a kept certificate, and a server up
 * to its first byte and under load. Of devcert only the loading is measured: its first certificate
 * changes the trust stores of the machine.
 */
export const libraryOfServers: Benchmark = {
  name: 'library',
  async run({ quick }) {
    const home = await mkdtemp(join(tmpdir(), 'rootling-bench-library-'))
    try {
      const env = scrubbedEnvironment(home, { ROOTLING_HOME: join(home, 'state') })
      const rounds = quick ? 5 : 40
      const { ours, devcert, selfsigned, node } = await inTurn(scripts, env, rounds)
      const cpu = (samples: readonly Sample[]): number => median(samples.map(({ load }) => load))
      const wall = (samples: readonly Sample[]): number =>
        median(samples.map(({ firstByte }) => firstByte))
      const most = (value: number) => ({ at: 'most', value }) as const
      const served = await load(env, quick ? 3 : 15, quick ? 500 : 3_000)
      const loading = 'import rootling, CPU time'
      return [
        { name: loading, unit: 'ms', ours: cpu(ours), peer: null, bar: most(20) },
        {
          name: `${loading}, beside another`,
          unit: 'ms',
          ours: cpu(ours),
          peer: { name: 'devcert', value: cpu(devcert) },
          bar: most(1),
        },
        {
          name: `${loading}, beside another`,
          unit: 'ms',
          ours: cpu(ours),
          peer: { name: 'selfsigned', value: cpu(selfsigned) },
          bar: most(1),
        },
        {
          name: 'kept certificate after it, CPU time',
          unit: 'ms',
          ours: median(ours.map(({ certificate }) => certificate)),
          peer: null,
          bar: most(5),
        },
        {
          name: 'import, createServer, first byte',
          unit: 'ms',
          ours: wall(ours),
          peer: { name: 'selfsigned', value: wall(selfsigned) },
          bar: most(1),
        },
        {
          name: 'import, createServer, first byte',
          unit: 'ms',
          ours: wall(ours),
          peer: { name: 'node:https with PEM files', value: wall(node) },
          bar: null,
        },
        {
          name: 'requests to createServer',
          unit: '/s',
          ours: median(served.ours),
          peer: { name: 'https.createServer', value: median(served.node) },
          bar: { at: 'least', value: 0.97 },
        },
      ]
    } finally {
      await rm(home, { recursive: true, force: true })
    }
  },
}

/** CPU time of loading and of the certificate, and wall time from the first import to a first byte. */
interface Sample {
  readonly load: number
  readonly certificate: number
  readonly firstByte: number
}

/** Prints a sample: `load` imports, `certificate` and `server` are expressions over `loaded`. */
const sampled = (load: string, certificate: string, server: string): string => `
  const begun = performance.now()
  const spent = (since) => { const { user, system } = process.cpuUsage(since); return (user + system) / 1000 }
  const before = process.cpuUsage()
  const loaded = await import(${load})
  const loading = spent(before)
  const loadedAt = process.cpuUsage()
  const pair = ${certificate}
  const issuing = spent(loadedAt)
  const firstByte = ${server === '' ? '0' : 'await visit()'}
  console.log(JSON.stringify({ load: loading, certificate: issuing, firstByte }))
  async function visit() {
    const server = ${server || 'null'}
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
    const tls = process.getBuiltinModule('node:tls')
    await new Promise((resolve, reject) => {
      const socket = tls.connect({ port: server.address().port, host: '127.0.0.1', ca: [], rejectUnauthorized: false },
        () => socket.write('GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n'))
      socket.once('data', resolve).once('error', reject)
    })
    const time = performance.now() - begun
    server.close()
    return time
  }`

const answer = "(_, response) => response.end('hello')"
const bare = `process.getBuiltinModule('node:https').createServer(pair, ${answer})`
const readPair = `(({ readFileSync }) => ({
  cert: readFileSync(process.env.HOME + '/cert.pem'), key: readFileSync(process.env.HOME + '/key.pem') }))(process.getBuiltinModule('node:fs'))`
const p256 = "{ keyType: 'ec', curve: 'P-256', algorithm: 'sha256' }"
const generate = `await loaded.generate([{ name: 'commonName', value: 'localhost' }], ${p256})`
const scripts = {
  ours: sampled(
    library,
    `await loaded.certificateFor(${names})`,
    `await loaded.createServer(${answer})`,
  ),
  devcert: sampled("'devcert'", 'null', ''),
  selfsigned: sampled(
    "'selfsigned'",
    generate,
    bare.replace('(pair,', '({ cert: pair.cert, key: pair.private },'),
  ),
  node: sampled("'node:https'", readPair, bare),
}

async function inTurn<Name extends string>(
  programs: Readonly<Record<Name, string>>,
  env: Readonly<Record<string, string>>,
  rounds: number,
): Promise<Record<Name, Sample[]>> {
  const keep = `
    import { copyFileSync } from 'node:fs'
    import { certificateFor, createServer } from ${library}
    const { certPath, keyPath } = await certificateFor(${names})
    copyFileSync(certPath, process.env.HOME + '/cert.pem')
    copyFileSync(keyPath, process.env.HOME + '/key.pem')
    await createServer()`
  await said(keep, env)
  const entries = Object.entries(programs) as [Name, string][]
  const samples = Object.fromEntries(entries.map(([name]) => [name, [] as Sample[]])) as Record<
    Name,
    Sample[]
  >
  for (let round = 0; round < rounds; round++)
    for (const [name, script] of entries) samples[name].push(JSON.parse(await said(script, env)))
  return samples
}

async function said(script: string, env: Readonly<Record<string, string>>): Promise<string> {
  const args = ['--input-type=module', '-e', script]
  const { exitCode, stdout, stderr } = await run(process.execPath, args, env)
  if (exitCode !== 0) throw new Error(`a measured program failed: ${stderr}`)
  return stdout
}

/** Returns requests per second to both servers, each in a process of its own, round after round. */
async function load(
  env: Readonly<Record<string, string>>,
  rounds: number,
  requests: number,
): Promise<{ ours: number[]; node: number[] }> {
  const listen = `
    server.listen(0, '127.0.0.1', () => console.log(server.address().port))
    process.stdin.resume().on('end', () => process.exit())`
  const servers = [
    `import { createServer } from ${library}; const server = await createServer(${answer}); ${listen}`,
    `const pair = ${readPair}; const server = ${bare}; ${listen}`,
  ].map((script) => start(process.execPath, ['--input-type=module', '-e', script], env))
  try {
    const ports = await Promise.all(
      servers.map(async (server) => Number(String((await once(server.stdout, 'data'))[0]))),
    )
    const rates: [number[], number[]] = [[], []]
    for (let round = 0; round < rounds; round++)
      for (const turn of [0, 1] as const) {
        // Each goes first in half of the rounds.
        const which = ((turn + round) % 2) as 0 | 1
        rates[which].push(await rate(ports[which] ?? 0, requests))
      }
    return { ours: rates[0], node: rates[1] }
  } finally {
    for (const server of servers) await terminate(server)
  }
}

/** Returns how many requests per second a server answers on sixteen connections that stay open. */
async function rate(port: number, requests: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 16, ca: [], rejectUnauthorized: false })
  const ask = (): Promise<void> =>
    new Promise((resolve, reject) => {
      get({ port, host: '127.0.0.1', agent }, (response) =>
        response.resume().on('end', resolve),
      ).on('error', reject)
    })
  const askMany = async (many: number): Promise<void> => {
    let left = many
    const worker = async (): Promise<void> => {
      while (left-- > 0) await ask()
    }
    await Promise.all(Array.from({ length: 16 }, worker))
  }
  await askMany(200)
  const begun = performance.now()
  await askMany(requests)
  const seconds = (performance.now() - begun) / 1000
  agent.destroy()
  return requests / seconds
}
