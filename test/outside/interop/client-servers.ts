import { existsSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { basename, join } from 'node:path'
import { buildGo } from '../../helpers/go-program.ts'
import { waitFor } from '../../helpers/subprocess.ts'
import { javas } from '../../sites/mtls/strangers.ts'
import { missing, recipe, type InteropWorld } from './interop-world.ts'
import { noPostgres, openPostgres } from './postgres-server.ts'
import { askByTls, filled, opens, put, type Open, type Running } from './server-process.ts'

/** A program that serves TLS and asks its clients for certificates, set up as docs/interop.md says. */
export interface ClientServer {
  readonly name: string
  /** Why it cannot run here; `null`: it can. */
  readonly unavailable: string | null
  readonly open: Open
  /** What client or server says of an unknown CA, and of a CA that may not sign clients. */
  readonly says: { readonly unknownCa: RegExp; readonly wrongPurpose: RegExp }
  /** What it lets in when its file of client CAs holds the root of servers too. */
  readonly admits?: readonly string[]
}

/** Adds nothing to the first block of a recipe, or takes that block as it is. */
const nothing = (): string => ''
const first = ([block = '']: readonly string[]): string => block
/** Returns the last block of a recipe, which makes the server refuse revoked clients. */
const last = (blocks: readonly string[]): string => blocks.at(-1) ?? ''

const nginx = (more: (blocks: readonly string[]) => string): Open =>
  opens({
    section: 'nginx',
    async write(blocks, { directory }) {
      const own = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (name) => `${name}_temp_path ${directory};`,
      )
      const site = `server { server_name localhost; ${blocks[0]} ${more(blocks)} }`
      const config = `user ${userInfo().username}; daemon off; pid ${directory}/pid;
        error_log stderr info; events {} http { access_log off; ${own.join(' ')} ${site} }`
      return ['nginx', '-e', 'stderr', '-c', await put(directory, 'nginx.conf', config)]
    },
  })

/** nginx that asks the responder at this URL about revocations. */
export const openNginxWithOcsp = (world: InteropWorld, responder: string): Promise<Running> =>
  nginx(([, lines = '']) => lines.replaceAll('http://127.0.0.1:14680/ocsp', responder))(
    world,
    'clients',
  )

const apache = (more: (blocks: readonly string[]) => string): Open =>
  opens({
    section: 'Apache',
    async write(blocks, { directory, port }) {
      const modules = ['mpm_event', 'authz_core', 'dir', 'headers', 'ssl'].map(
        (name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`,
      )
      // It serves pages as another user.
      await chmod(directory, 0o755)
      await put(directory, 'index.html', 'hello')
      const config = `${modules.join('\n')}
      ServerName localhost
      User #65534
      Group #65534
      ServerRoot ${directory}
      DefaultRuntimeDir ${directory}
      PidFile ${directory}/pid
      ErrorLog ${directory}/error.log
      Listen 127.0.0.1:${port}
      <VirtualHost 127.0.0.1:${port}>
      DocumentRoot ${directory}
      ${blocks[0]}
      ${more(blocks)}
      </VirtualHost>\n`
      return ['apache2', '-DFOREGROUND', '-f', await put(directory, 'apache.conf', config)]
    },
  })

const haproxy = (change: (blocks: readonly string[]) => string): Open =>
  opens({
    section: 'HAProxy',
    async write(blocks, { directory }) {
      const lines = change(blocks)
      const limits = ['client', 'server', 'connect'].map((end) => `  timeout ${end} 1m\n`)
      const config = `defaults\n${limits.join('')}${lines}`
      return ['haproxy', '-db', '-f', await put(directory, 'haproxy.cfg', config)]
    },
  })

const mosquitto = (more: (blocks: readonly string[]) => string): Open =>
  opens({
    section: 'Mosquitto',
    async write(blocks, { directory }) {
      const lines = `${blocks[0]}\n${more(blocks)}`
      const config = `user ${userInfo().username}\nlog_dest stderr\nlog_type all\n${lines}`
      return ['mosquitto', '-c', await put(directory, 'mosquitto.conf', config)]
    },
    async ask(client, { world, port, log }) {
      const before = log().length
      const [, publish = ''] = recipe('Mosquitto')
      const own = client === null ? '' : `--cert '${client.cert}' --key '${client.key}'`
      const script = filled(publish, world.home, port, 'clients').replace(
        /--cert \S+ --key \S+/,
        own,
      )
      const { exitCode, stdout, stderr } = await world.bash(script)
      if (exitCode !== 0) return { read: '', error: stdout + stderr }
      const connected = /New client connected .* u'(.*)'\)/
      const name = await waitFor(
        'Mosquitto to log the client’s name',
        () => connected.exec(log().slice(before))?.[1] ?? null,
        5000,
      )
      return { read: name }
    },
  })

const stunnel = (more: (blocks: readonly string[]) => string): Open =>
  opens({
    section: 'stunnel',
    async write(blocks, { directory }) {
      const lines = `${blocks[0]}\n${more(blocks)}`
      // `env` prints what stunnel tells a program that it starts: the subject of the client, too.
      const service = lines.replace(/^connect = .*$/m, 'exec = /usr/bin/env')
      const config = `foreground = yes\npid =\ndebug = info\n${service}`
      return ['stunnel4', await put(directory, 'stunnel.conf', config)]
    },
    ask: (client, place) => askByTls(client, place, ''),
  })

const go = opens({
  section: 'Go',
  async write([program = ''], { directory }) {
    return [await buildGo(await put(directory, 'hello.go', program), directory)]
  },
})

const python = opens({
  section: 'Python',
  write: async ([program = ''], { directory }) => [
    'python3',
    await put(directory, 'hello.py', program),
  ],
})

const node = (change: (blocks: readonly string[]) => string): Open =>
  opens({
    section: 'Node',
    write: async (blocks, { directory }) => [
      process.execPath,
      await put(directory, 'hello.cjs', change(blocks)),
    ],
  })

const erlang = opens({
  section: 'Erlang/OTP',
  write: async ([program = ''], { directory }) => [
    'escript',
    await put(directory, 'hello.escript', program),
  ],
})

/** Makes clients.p12 by the recipe, and both.p12, which holds the root of servers too. */
async function makeTrustStores({ shell }: InteropWorld): Promise<void> {
  const [script = ''] = recipe('Java')
  const [, importing = ''] = script.split(/(?=^keytool)/m)
  const second = importing
    .replace('rootling-clients', 'local')
    .replace('~/tls/clients.pem', '"$(rootling ca path)"')
    .replace('clients.p12', 'both.p12')
  await shell(script)
  await shell(`cp tls/clients.p12 tls/both.p12\n${second}`)
}

const java = (home: string): Open =>
  opens({
    section: 'Java',
    async write([, program = ''], { world, directory }) {
      if (!existsSync(world.tls('both.p12'))) await makeTrustStores(world)
      const source = await put(directory, 'Hello.java', program)
      return [join(home, 'bin/java'), '-Xshare:auto', '-XX:TieredStopAtLevel=1', source]
    },
  })

const alerts = { unknownCa: /ALERT_UNKNOWN_CA/, wrongPurpose: /ALERT_UNSUPPORTED_CERTIFICATE/ }
const wrongPurpose = /unsuitable certificate purpose|unsupported certificate purpose/

export const clientServers: readonly ClientServer[] = [
  {
    name: 'nginx',
    unavailable: missing('/usr/sbin/nginx'),
    open: nginx(nothing),
    // It reads on after an error, and reports the last one.
    says: { unknownCa: wrongPurpose, wrongPurpose },
  },
  {
    name: 'Apache',
    unavailable: missing('/usr/sbin/apache2'),
    open: apache(nothing),
    says: alerts,
  },
  {
    name: 'HAProxy',
    unavailable: missing('/usr/sbin/haproxy'),
    open: haproxy(first),
    says: alerts,
  },
  {
    name: 'PostgreSQL',
    unavailable: noPostgres,
    open: openPostgres,
    says: { unknownCa: /alert unknown ca/, wrongPurpose: /alert unsupported certificate/ },
  },
  {
    name: 'Mosquitto',
    unavailable: missing('/usr/sbin/mosquitto') ?? missing('/usr/bin/mosquitto_pub'),
    open: mosquitto(nothing),
    says: {
      unknownCa: /certificate verify failed/,
      wrongPurpose: /certificate verify failed/,
    },
  },
  {
    name: 'stunnel',
    unavailable: missing('/usr/bin/stunnel4'),
    open: stunnel(nothing),
    says: alerts,
  },
  {
    name: 'Go',
    unavailable: missing('/usr/bin/go'),
    open: go,
    says: { unknownCa: /signed by unknown authority/, wrongPurpose: /incompatible key usage/ },
  },
  { name: 'Python', unavailable: missing('/usr/bin/python3'), open: python, says: alerts },
  {
    name: 'Node',
    unavailable: null,
    open: node(first),
    // It closes the connection without a word.
    says: { unknownCa: /^$/, wrongPurpose: /^$/ },
  },
  {
    name: 'Erlang/OTP',
    unavailable: missing('/usr/bin/escript'),
    open: erlang,
    says: { unknownCa: /unknown_ca/, wrongPurpose: /invalid_ext_key_usage/ },
  },
  ...javas().map((home) => ({
    name: `Java of ${basename(home)}`,
    unavailable: null,
    open: java(home),
    says: {
      unknownCa: /unable to find valid certification path/,
      wrongPurpose: /Extended key usage|name constraint/i,
    },
    admits: ['a forged client with a local name'],
  })),
]

/** The servers that read lists of revoked clients, set up by the last block of their recipe. */
export const crlServers: readonly (Pick<ClientServer, 'name' | 'unavailable' | 'open'> & {
  /** Whether it checks the whole chain, and so needs the list of the root too. */
  readonly wholeChain: boolean
})[] = [
  { name: 'nginx', open: nginx(last) },
  { name: 'Apache', open: apache(last) },
  {
    name: 'HAProxy',
    open: haproxy(([block = '', bind = '']) => block.replace(/^ *bind .*\n/m, bind)),
  },
  {
    name: 'PostgreSQL',
    open: (world: InteropWorld, ca: string) => openPostgres(world, ca, 'postgres', true),
  },
  { name: 'Mosquitto', open: mosquitto(last), wholeChain: false },
  { name: 'stunnel', open: stunnel(last), wholeChain: false },
  {
    name: 'Node',
    open: node(([program = '', option = '']) =>
      program.replace('requestCert: true,', `$&\n${option}`),
    ),
  },
].map((server) => ({
  wholeChain: true,
  ...server,
  unavailable: clientServers.find(({ name }) => name === server.name)?.unavailable ?? null,
}))
