import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { build } from 'rolldown'
import { nodeFlags } from '../../src/daemon/garbage.ts'
import { freePort } from '../helpers/free-port.ts'
import { npmProgram } from '../helpers/npm-program.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { start, terminate, waitFor } from '../helpers/subprocess.ts'

/** A proxy in a process of its own, which forwards one host to one app. */
export interface Proxy {
  readonly name: string
  readonly port: number
  readonly pid: number
  stop(): Promise<void>
}

/** What a proxy is started for. */
export interface ProxySetting {
  /** A directory for its files. */
  readonly directory: string
  /** The paths of a certificate for the host, with its chain, and of its key. */
  readonly cert: string
  readonly key: string
  readonly host: string
  /** The port of the app on 127.0.0.1. */
  readonly appPort: number
  /** Comes before the program, such as `taskset -c 1`. */
  readonly prefix?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A proxy, or why it cannot be had. */
export type Started = { readonly proxy: Proxy } | { readonly missing: string }

/** Starts Rootling's proxy, with the Node flags of its daemon; `node` is the program to run it by. */
export async function startRootling(
  setting: ProxySetting,
  node = process.execPath,
): Promise<Proxy> {
  const { directory, cert, key, host, appPort } = setting
  await build({
    input: join(process.cwd(), 'test/proxy/proxy-child.ts'),
    platform: 'node',
    external: [/^node:/],
    output: { dir: directory, entryFileNames: 'proxy.mjs', format: 'esm' },
    logLevel: 'silent',
  })
  const script = [...nodeFlags, join(directory, 'proxy.mjs')]
  const args = [...script, cert, key, host, `http://127.0.0.1:${appPort}`]
  return launch('Rootling', [node, ...args], setting)
}

/** Starts portless, which needs Node 24. */
export async function startPortless(setting: ProxySetting): Promise<Started> {
  const { platform, arch } = process
  const node = await npmProgram(`node-${platform}-${arch}@24`, 'bin/node', 'rootling-node24')
  if (node.program === null) return { missing: node.missing }
  const { directory, cert, key, host, appPort } = setting
  const modules = join(directory, 'node_modules')
  if (!existsSync(modules)) await symlink(join(process.cwd(), 'node_modules'), modules)
  const script = join(directory, 'portless.mjs')
  const source = `import { readFileSync } from 'node:fs'
import { createProxyServer } from 'portless'
const [cert, key, hostname, appPort, port] = process.argv.slice(2)
const server = createProxyServer({
  getRoutes: () => [{ hostname, port: Number(appPort) }],
  proxyPort: Number(port),
  tls: { cert: readFileSync(cert), key: readFileSync(key) },
  strict: true,
  onError() {},
})
server.on('sessionError', () => {})
server.on('tlsClientError', () => {})
server.listen(Number(port), '127.0.0.1', () => console.log(port))
`
  await writeFile(script, source)
  const args = [script, cert, key, host, String(appPort), String(await freePort())]
  return { proxy: await launch('portless', [node.program, ...args], setting) }
}

/** Starts Debian's Caddy. */
export async function startCaddy(setting: ProxySetting): Promise<Started> {
  const program = '/usr/bin/caddy'
  if (!existsSync(program)) return { missing: 'Caddy is not installed' }
  const { directory, cert, key, host, appPort } = setting
  const port = await freePort()
  const lines = [
    '{',
    'admin off',
    'auto_https disable_redirects',
    `http_port ${await freePort()}`,
    `https_port ${port}`,
    `storage file_system ${join(directory, 'caddy')}`,
    'log {\nlevel ERROR\n}',
    '}',
    `https://${host}:${port} {`,
    'bind 127.0.0.1',
    `tls ${cert} ${key}`,
    `reverse_proxy 127.0.0.1:${appPort}`,
    '}',
  ]
  const file = join(directory, 'Caddyfile')
  await writeFile(file, `${lines.join('\n')}\n`)
  const args = ['run', '--config', file, '--adapter', 'caddyfile']
  return { proxy: await launch('Caddy', [program, ...args], setting, port) }
}

/** Starts Debian's nginx as a proxy. */
export async function startNginx(setting: ProxySetting): Promise<Started> {
  const { cert, key, host, appPort } = setting
  const port = await freePort()
  const site = [
    `listen 127.0.0.1:${port} ssl http2;`,
    `server_name ${host};`,
    `ssl_certificate ${cert};`,
    `ssl_certificate_key ${key};`,
    'location / {',
    'proxy_pass http://app;',
    'proxy_http_version 1.1;',
    'proxy_set_header Connection "";',
    'proxy_set_header Host $http_host;',
    '}',
  ]
  const upstream = `upstream app {\nserver 127.0.0.1:${appPort};\nkeepalive 64;\n}`
  return startNginxWith(setting, 'nginx', `${upstream}\nserver {\n${site.join('\n')}\n}`, port)
}

/** Starts nginx as an app that serves the files `k1` and `k100` of a directory. */
export async function startNginxApp(setting: ProxySetting): Promise<Started> {
  const port = await freePort()
  const root = `location / {\nroot ${setting.directory};\n}`
  const site = `server {\nlisten 127.0.0.1:${port};\nkeepalive_requests 100000000;\n${root}\n}`
  return startNginxWith(setting, 'nginx as app', site, port)
}

async function startNginxWith(
  setting: ProxySetting,
  name: string,
  http: string,
  port: number,
): Promise<Started> {
  const program = '/usr/sbin/nginx'
  if (!existsSync(program)) return { missing: 'nginx is not installed' }
  const { directory } = setting
  const file = join(directory, `${name.replaceAll(' ', '-')}.conf`)
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (each) => `${each}_temp_path ${directory};`,
  )
  const lines = [
    'daemon off;\nmaster_process off;',
    `pid ${file}.pid;\nerror_log ${file}.log;`,
    'events {\nworker_connections 8192;\n}',
    `http {\naccess_log off;\nsendfile on;\ntcp_nodelay on;\n${paths.join('\n')}\n${http}\n}`,
  ]
  await writeFile(file, `${lines.join('\n')}\n`)
  return { proxy: await launch(name, [program, '-c', file], setting, port) }
}

/** Starts a program that prints its port, or that listens on a given one. */
async function launch(
  name: string,
  command: readonly string[],
  { directory, prefix = [], env = {} }: ProxySetting,
  port?: number,
): Promise<Proxy> {
  const [program = '', ...args] = [...prefix, ...command]
  const child = start(program, args, scrubbedEnvironment(directory, env))
  let output = ''
  child.stderr.on('data', (part: Buffer) => (output = (output + part.toString()).slice(-2_000)))
  let printed = ''
  child.stdout.on('data', (part: Buffer) => (printed += part.toString()))
  const ready = await waitFor(name, async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended: ${output}`)
    const found = port ?? Number(/^(\d+)\n/.exec(printed)?.[1] ?? 0)
    return found > 0 && (await isOpen(found)) ? found : null
  })
  return { name, port: ready, pid: child.pid ?? 0, stop: () => terminate(child) }
}

async function isOpen(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
