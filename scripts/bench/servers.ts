import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { nodeFlags } from '../../src/daemon/garbage.ts'
import { freePort } from '../../test/helpers/free-port.ts'
import type { PostgresServer } from '../../test/helpers/postgres-server.ts'
import { start, terminate, waitFor } from '../../test/helpers/subprocess.ts'
import { rootling, type World } from './world.ts'

/** Rootling's server or a peer's, in a process of its own. */
export interface Server {
  readonly pid: number
  readonly port: number
  /** The root of the server's certificates, PEM. */
  readonly root: string
  stop(): Promise<void>
}

export interface AcmeServer extends Server {
  readonly directory: string
}

/**
 * Starts Rootling's daemon, with the Node flags that `daemon start` gives it. `http01` is the port
 * that http-01 asks.
 */
export async function startDaemon(world: World, http01: number): Promise<AcmeServer> {
  const port = await freePort()
  const [node, script] = rootling
  const ports = ['--acme-port', `${port}`, '--revocation-port', '0', '--http01-port', `${http01}`]
  const server = await launch(node, [...nodeFlags, script, 'daemon', 'run', ...ports], world, port)
  return { ...server, directory: `https://localhost:${port}/acme/directory` }
}

/**
 * Starts one replica of a team's server, over a database that waits for its disk. Accounts need no
 * binding there, since the load opens them as at the others, and nothing is limited.
 */
export async function startReplica(
  world: World,
  http01: number,
  postgres: PostgresServer,
): Promise<AcmeServer> {
  const port = await freePort()
  const database = ['--database', await postgres.createDatabase()]
  const passphrase = join(world.directory, 'passphrase')
  await writeFile(passphrase, 'correct horse battery\n', { mode: 0o600 })
  const key = ['--passphrase-file', passphrase]
  const permit = ['--permit', 'localhost', '--force']
  const { root } = await world.rootling(['server', 'init', ...database, ...permit, ...key])
  const [node, script] = rootling
  const own = ['--url', `https://localhost:${port}`, '--port', String(port), '--drain', '0']
  const open = ['--no-eab-required', '--no-limits', '--allow-address', '127.0.0.1', '--quiet']
  const line = ['server', 'run', ...database, ...key, ...own, ...open, '--http01-port', `${http01}`]
  const server = await launch(node, [...nodeFlags, script, ...line], world, port)
  const directory = `https://localhost:${port}/acme/directory`
  return { ...server, root: String(root), directory }
}

/**
 * Starts pebble without its deliberate waits and refusals, so that it validates as the others do.
 */
export async function startPebble(world: World, http01: number): Promise<AcmeServer> {
  const port = await freePort()
  const { certificate } = await world.rootling(['issue', 'localhost', '--out-dir', world.directory])
  const { certPath, keyPath } = certificate as { certPath: string; keyPath: string }
  const config = join(world.directory, 'pebble.json')
  const pebble = {
    listenAddress: `127.0.0.1:${port}`,
    managementListenAddress: `127.0.0.1:${await freePort()}`,
    certificate: certPath,
    privateKey: keyPath,
    httpPort: http01,
    tlsPort: await freePort(),
  }
  await writeFile(config, JSON.stringify({ pebble }))
  const env = { PEBBLE_VA_NOSLEEP: '1', PEBBLE_WFE_NONCEREJECT: '0', PEBBLE_AUTHZREUSE: '0' }
  const withEnv = { ...world, env: { ...world.env, ...env } }
  const server = await launch('/usr/bin/pebble', ['-config', config], withEnv, port)
  return { ...server, directory: `https://localhost:${port}/dir` }
}

/** Starts Caddy's ACME server, which validates on port 80 only. */
export async function startCaddyAcme(world: World): Promise<AcmeServer> {
  const port = await freePort()
  const site = `https://localhost:${port} {\n tls internal\n acme_server\n}`
  const server = await startCaddy(world, port, site, 'localhost')
  return { ...server, directory: `https://localhost:${port}/acme/local/directory` }
}

/** Starts a Caddy that issues a certificate for each name at its first handshake. */
export async function startCaddyOnDemand(world: World): Promise<Server> {
  const port = await freePort()
  const site = `https://:${port} {\n tls internal {\n  on_demand\n }\n respond ok\n}`
  return startCaddy(world, port, site, null)
}

async function startCaddy(
  world: World,
  port: number,
  site: string,
  name: string | null,
): Promise<Server> {
  const storage = join(world.directory, 'caddy')
  const options = [
    'admin off',
    'skip_install_trust',
    `http_port ${await freePort()}`,
    `https_port ${port}`,
    'auto_https disable_redirects',
    `storage file_system ${storage}`,
  ]
  const file = join(world.directory, 'Caddyfile')
  await writeFile(file, `{\n ${options.join('\n ')}\n}\n${site}\n`)
  const args = ['run', '--config', file, '--adapter', 'caddyfile']
  const server = await launch('/usr/bin/caddy', args, world, port)
  const root = await waitFor('the root of Caddy', () =>
    readFile(join(storage, 'pki/authorities/local/root.crt'), 'utf8').catch(() => null),
  )
  // Caddy makes its certificate only after it has begun to listen.
  const made = join(storage, `certificates/local/${name}/${name}.key`)
  if (name !== null)
    await waitFor('the certificate of Caddy', () => readFile(made).catch(() => null))
  return { ...server, root }
}

/**
 * Starts `rootling serve --on-demand`, which issues a certificate for each name at its first
 * handshake.
 */
export async function startServeOnDemand(world: World): Promise<Server> {
  const port = await freePort()
  const [node, script] = rootling
  return launch(node, [script, 'serve', '--on-demand', '--port', `${port}`], world, port)
}

async function launch(
  program: string,
  args: readonly string[],
  { env, state }: World,
  port: number,
): Promise<Server> {
  const child = start(program, args, env)
  let output = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text: Buffer) => (output = (output + text.toString()).slice(-2_000)))
  await waitFor(`${program} ${args.join(' ')}`, async () => {
    if (child.exitCode !== null) throw new Error(`${program} ended: ${output}`)
    return (await isOpen(port)) ? true : null
  })
  return {
    pid: child.pid ?? 0,
    port,
    root: await readFile(join(state, 'scopes/local/root.pem'), 'utf8'),
    stop: () => terminate(child),
  }
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** Returns the resident memory of a process, in MiB. */
export async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024
}

/** Returns the CPU time of a process so far, in seconds, to a hundredth. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / 100
}
