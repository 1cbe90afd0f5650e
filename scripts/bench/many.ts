import { writeFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { get } from 'node:https'
import { join } from 'node:path'
import { freePort } from '../../test/helpers/free-port.ts'
import {
  namespaceUnavailable,
  openNamespace,
  type Namespace,
} from '../../test/helpers/namespace.ts'
import { scrubbedEnvironment } from '../../test/helpers/scrubbed.ts'
import { start, terminate, waitFor } from '../../test/helpers/subprocess.ts'
import { startApp } from '../../test/proxy/app.ts'
import { median, type Benchmark, type Row } from './benchmark.ts'
import { measureProcesses, timeout, type Command } from './processes.ts'
import { residentMiB } from './servers.ts'
import { openWorld, rootling, type World } from './world.ts'

/**
 * Measures one machine with many names in the proxy, many projects and many profiles of Firefox, each
 * beside one of them. Many certificates on record are measured by scale.ts.
 */
export const many: Benchmark = {
  name: 'many',
  async run({ quick }) {
    return [
      ...(await measureNames(quick ? 50 : 1_000, quick)),
      ...(await measureProjects(quick ? 10 : 500, quick)),
      ...(await measureProfiles(quick ? 5 : 200, quick)),
    ]
  },
}

const text = (count: number): string => count.toLocaleString('en')

/** Returns a row with the figure for many, beside that for one. */
const beside = (name: string, ours: number, one: number, unit: Row['unit'] = 'ms'): Row => ({
  name,
  unit,
  ours,
  peer: { name: 'with one', value: one },
  bar: null,
})

async function measureNames(count: number, quick: boolean): Promise<Row[]> {
  const one = await namesOnce(1, quick)
  const all = await namesOnce(count, quick)
  const names = `${text(count)} names in the proxy`
  return [
    beside(`proxy list, ${names}`, all.list, one.list),
    beside(`first handshake of a name, ${names}`, all.first, one.first),
    beside(`request, ${names}`, all.request, one.request),
    beside(`daemon, each name asked for once, ${names}`, all.memory, one.memory, 'MiB'),
  ]
}

async function namesOnce(count: number, quick: boolean) {
  const world = await openWorld()
  const app = await startApp()
  const port = await freePort()
  const hosts = Array.from({ length: count }, (_, i) => `app${i}.localhost`)
  const route = { path: '/', to: `http://127.0.0.1:${app.port}`, changeOrigin: false }
  const routes = hosts.map((host) => ({ host, ...route, owner: { kind: 'hand' } }))
  writeFileSync(join(world.state, 'proxy.json'), JSON.stringify({ routes }), { mode: 0o600 })
  const daemon = startProxyDaemon(world, port)
  try {
    await waitFor('the proxy', async () => (await ask(port, 'localhost').catch(() => null)) ?? null)
    const first: number[] = []
    for (const host of hosts) first.push(await ask(port, host))
    const requests: number[] = []
    for (let i = 0; i < (quick ? 20 : 500); i++)
      requests.push(await ask(port, hosts[(i * 7) % count] ?? ''))
    const list = { argv: [...rootling, 'proxy', 'list'], cwd: '/', env: world.env }
    const cost = await measureProcesses({ list }, quick ? 2 : 10)
    return {
      list: cost.list.wall,
      first: median(first),
      request: median(requests),
      memory: await residentMiB(daemon.pid ?? 0),
    }
  } finally {
    await terminate(daemon)
    app.close()
    await world.remove()
  }
}

function startProxyDaemon(world: World, port: number) {
  const [node, script] = rootling
  const ports = ['--acme-port', '0', '--revocation-port', '0', '--proxy-port', `${port}`]
  const daemon = start(node, [script, 'daemon', 'run', ...ports], world.env)
  daemon.stdout.resume()
  daemon.stderr.resume()
  return daemon
}

/** Returns the milliseconds that a request on a connection of its own takes. */
const ask = (port: number, host: string): Promise<number> =>
  new Promise((resolve, reject) => {
    const begun = performance.now()
    const options = {
      host: '127.0.0.1',
      port,
      servername: host,
      headers: { Host: `${host}:${port}` },
      rejectUnauthorized: false,
      agent: false,
    } as const
    get(options, (response) => {
      response.resume()
      response.once('end', () => resolve(performance.now() - begun))
    }).on('error', reject)
  })

async function measureProjects(count: number, quick: boolean): Promise<Row[]> {
  const world = await openWorld()
  try {
    const inProject = (i: number, ...args: string[]): Command => ({
      argv: [...rootling, ...args],
      cwd: join(world.directory, `project${i}`),
      env: world.env,
    })
    const make = async (i: number): Promise<void> => {
      const directory = join(world.directory, `project${i}`)
      await mkdir(join(directory, '.git'), { recursive: true })
      const names = [`p${i}.localhost`, `api.p${i}.localhost`]
      const certificates = [{ names, cert: '.certs/a.pem', key: '.certs/a-key.pem' }]
      await writeFile(
        join(directory, 'rootling.json'),
        JSON.stringify({ version: 1, certificates }),
      )
    }
    const commands = {
      up: inProject(0, 'up', '--yes', '--stores', 'none'),
      list: inProject(0, 'list'),
      renew: inProject(0, 'renew', '--due'),
    }
    const rounds = quick ? 1 : 5
    await make(0)
    await measureProcesses({ up: commands.up }, 1)
    const one = await measureProcesses(commands, rounds)
    for (let i = 1; i < count; i++) await make(i)
    const others = Array.from({ length: count - 1 }, (_, i) => inProject(i + 1, ...upLine))
    for (const each of others) await measureProcesses({ up: each }, 1)
    const all = await measureProcesses(commands, rounds)
    const projects = `${text(count)} projects`
    return [
      beside(`second up of one, ${projects}`, all.up.wall, one.up.wall),
      beside(`list, ${projects}`, all.list.wall, one.list.wall),
      beside(`renew --due, ${projects}`, all.renew.wall, one.renew.wall),
    ]
  } finally {
    await world.remove()
  }
}

const upLine = ['up', '--yes', '--stores', 'none']

/** Creates profiles of Firefox, each with a database of its own. */
const makeProfiles = `
set -eu
above="$HOME/.mozilla/firefox"
mkdir -p "$above/p0"
certutil -N --empty-password -d "sql:$above/p0"
: > "$above/profiles.ini"
i=0
while [ $i -lt "$1" ]; do
  [ $i = 0 ] || cp -r "$above/p0" "$above/p$i"
  printf '[Profile%s]\\nName=p%s\\nIsRelative=1\\nPath=p%s\\n\\n' $i $i $i >> "$above/profiles.ini"
  i=$((i + 1))
done
`

async function measureProfiles(count: number, quick: boolean): Promise<Row[]> {
  const unavailable = namespaceUnavailable()
  if (unavailable !== null) {
    process.stderr.write(`many: no profiles of Firefox, ${unavailable}\n`)
    return []
  }
  const one = await profilesOnce(1, quick)
  const all = await profilesOnce(count, quick)
  const profiles = `${text(count)} profiles of Firefox`
  return [
    beside(`install, ${profiles}`, all.install, one.install),
    beside(`second install, ${profiles}`, all.again, one.again),
    beside(`status, ${profiles}`, all.status, one.status),
    beside(`uninstall, ${profiles}`, all.uninstall, one.uninstall),
  ]
}

async function profilesOnce(count: number, quick: boolean) {
  const inside = await openNamespace()
  try {
    const env = scrubbedEnvironment(inside.home, { ROOTLING_HOME: join(inside.home, 'state') })
    await inside.must('sh', ['-c', makeProfiles, 'sh', `${count}`], { env, timeout })
    const once = async (...args: string[]): Promise<number> => wallOf(inside, env, args, 1)
    return {
      install: await once('install', '--yes'),
      again: await wallOf(inside, env, ['install', '--yes'], quick ? 1 : 5),
      status: await wallOf(inside, env, ['status'], quick ? 1 : 5),
      uninstall: await once('uninstall', '--yes'),
    }
  } finally {
    await inside.close()
  }
}

async function wallOf(
  inside: Namespace,
  env: Readonly<Record<string, string>>,
  args: readonly string[],
  rounds: number,
): Promise<number> {
  const command = { argv: [...rootling, ...args], cwd: '/', env }
  const cost = await measureProcesses({ command }, rounds, (program, words, input) =>
    inside.run(program, words, { input, timeout }),
  )
  return cost.command.wall
}
