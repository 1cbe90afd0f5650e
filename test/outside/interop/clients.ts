import { once } from 'node:events'
import { createServer } from 'node:https'
import { createServer as createProxy } from 'node:http'
import { isIP, connect as connectTcp, type AddressInfo } from 'node:net'
import { connect } from 'node:tls'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buildJava } from '../../helpers/java-program.ts'
import { hasTool, runTool } from '../../helpers/tools.ts'
import type { Presented } from './kinds.ts'
import { inLines, javaPrograms, makeNssDatabase, versionOf, type Verifier } from './verifiers.ts'

// Clients that compare a name with a certificate by themselves, each in one start for all servers
// where it can: a chain is accepted when the handshake succeeds.

/** A chain with the private key of its leaf, PKCS #8 PEM. */
interface Servable extends Presented {
  readonly key: string
}

/** A program that is shown chains by servers. It knows hosts and addresses only. */
export interface Client extends Pick<Verifier, 'name' | 'version' | 'short'> {
  /** Whether it can also be shown the certificates of clients. */
  readonly judgesClients?: boolean
  /** As of a `Verifier`. The chains have one root. */
  verdicts(directory: string, chains: readonly Servable[]): Promise<(string | null)[]>
}

interface Served {
  readonly host: string
  readonly port: number
  /** `https://HOST:PORT/`. */
  readonly url: string
  /** Whether a request has come, which a client sends only after it accepted the chain. */
  asked(): boolean
}

interface Servers {
  readonly served: readonly Served[]
  close(): void
}

/** Serves each chain on a port of its own of 127.0.0.1. */
async function serve(chains: readonly Servable[]): Promise<Servers> {
  const servers = chains.map(({ leaf, intermediate, key }) => {
    let asked = false
    const server = createServer({ cert: leaf + intermediate, key }, (_, response) => {
      asked = true
      response.writeHead(200, { 'content-length': 0, connection: 'close' }).end()
    })
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1')
    return { server, asked: () => asked }
  })
  const served = servers.map(async ({ server, asked }, i) => {
    if (!server.listening) await once(server, 'listening')
    const host = chains[i]?.asked ?? ''
    const { port } = server.address() as AddressInfo
    return { host, port, url: `https://${isIP(host) === 6 ? `[${host}]` : host}:${port}/`, asked }
  })
  return {
    served: await Promise.all(served),
    close() {
      for (const { server } of servers) {
        server.closeAllConnections()
        server.close()
      }
    },
  }
}

/** Gives each host's port of 127.0.0.1 to clients that cannot be told where a host is. */
async function startProxy(): Promise<{ readonly port: number; close(): void }> {
  const proxy = createProxy()
  proxy.on('connect', ({ url = '' }, socket) => {
    const wire = connectTcp(Number(/\d+$/.exec(url)?.[0]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connected\r\n\r\n')
      wire.pipe(socket).pipe(wire)
    })
    const close = (): void => {
      wire.destroy()
      socket.destroy()
    }
    wire.on('error', close)
    socket.on('error', close)
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  return { port: (proxy.address() as AddressInfo).port, close: () => proxy.close() }
}

type Ask = (
  served: readonly Served[],
  root: string,
  directory: string,
) => Promise<(string | null)[]>

const whileServed =
  (ask: Ask): Client['verdicts'] =>
  async (directory, chains) => {
    const root = join(directory, 'root.pem')
    await writeFile(root, chains[0]?.root ?? '')
    const servers = await serve(chains)
    try {
      return await ask(servers.served, root, directory)
    } finally {
      servers.close()
    }
  }

const refused = 'refused'

/** A script beside this file that reads ports and names. */
const script = (
  name: string,
  program: string,
  file: string,
  version: readonly string[],
): Client => ({
  name,
  version: () => versionOf(program, version),
  verdicts: whileServed(async (served, root) => {
    const lines = served.map(({ host, port }) => `${port}\t${host}\n`).join('')
    const path = join(import.meta.dirname, 'clients', file)
    return inLines(served, await runTool(program, [path, root], lines))
  }),
})

const curl: Client = {
  name: 'curl',
  version: () => versionOf('curl', ['--version']),
  verdicts: whileServed(async (served, root) => {
    const options = ['--silent', '--cacert', root, '--connect-to', '::127.0.0.1:', '--noproxy', '*']
    const urls = served.flatMap(({ url }) => ['--output', '/dev/null', url])
    const format = ['--write-out', '%{exitcode} %{errormsg}\\n']
    const { stdout } = await runTool('curl', [...options, ...format, ...urls])
    const lines = stdout.trim().split('\n')
    return served.map((_, i) => (lines[i]?.startsWith('0 ') ? null : (lines[i] ?? 'no answer')))
  }),
}

const wget: Client = {
  name: 'wget',
  version: () => versionOf('wget', ['--version']),
  verdicts: whileServed(async (served, root, directory) => {
    const proxy = await startProxy()
    const options = ['--quiet', '--tries=1', '--output-document=/dev/null', '--no-hsts']
    // Without the roots of the system, whose reading takes longer than all the rest.
    const only = [`--ca-directory=${join(directory, 'none')}`, `--ca-certificate=${root}`]
    const way = ['-e', 'use_proxy=yes', '-e', `https_proxy=http://127.0.0.1:${proxy.port}/`]
    const urls = served.map(({ url }) => url)
    await runTool('wget', [...options, ...only, ...way, ...urls])
    proxy.close()
    return served.map(({ asked }) => (asked() ? null : refused))
  }),
}

const gnutls: Client = {
  name: 'gnutls-cli',
  version: () => versionOf('gnutls-cli', ['--version']),
  short: 'none',
  verdicts: whileServed((served, root) =>
    oneByOne(served, async ({ host, port }) => {
      const sni = isIP(host) > 0 ? [] : [`--sni-hostname=${host}`]
      const options = [`--x509cafile=${root}`, `--verify-hostname=${host}`, `--port=${port}`]
      return runTool('gnutls-cli', [...options, ...sni, '127.0.0.1'])
    }),
  ),
}

const tstclnt: Client = {
  name: 'tstclnt of NSS',
  version: () => versionOf('dpkg-query', ['-W', 'libnss3']),
  short: 'none',
  verdicts: whileServed(async (served, root, directory) => {
    const database = await makeNssDatabase(join(directory, 'nss'), root)
    return oneByOne(served, ({ host, port }) => {
      const server = ['-h', '127.0.0.1', '-p', String(port), '-a', host]
      return runTool('tstclnt', [...server, '-d', database, '-Q'])
    })
  }),
}

async function oneByOne(
  served: readonly Served[],
  ask: (one: Served) => ReturnType<typeof runTool>,
): Promise<(string | null)[]> {
  const said: (string | null)[] = []
  for (const one of served) {
    const { exitCode, stdout, stderr } = await ask(one)
    said.push(exitCode === 0 ? null : stdout + stderr)
  }
  return said
}

const node: Client = {
  name: 'Node',
  version: async () => process.version,
  verdicts: async (directory, chains) =>
    whileServed((served) =>
      Promise.all(served.map((one) => askByNode(one, chains[0]?.root ?? ''))),
    )(directory, chains),
}

/** Shakes hands over a connection to 127.0.0.1, so that only the certificate is asked for the host. */
async function askByNode({ host, port }: Served, root: string): Promise<string | null> {
  const wire = connectTcp(port, '127.0.0.1')
  const name = isIP(host) > 0 ? {} : { servername: host }
  const socket = connect({ socket: wire, host, ca: root, ...name })
  try {
    return await new Promise<string | null>((resolve) => {
      socket.once('secureConnect', () => resolve(null))
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    })
  } finally {
    socket.destroy()
  }
}

/** HttpsURLConnection, and the trust manager that servers ask about their clients. */
function java(program: string, rest: Pick<Client, 'short'>): Client {
  return {
    ...rest,
    name: `HttpsURLConnection of ${program.split('/').at(-3) ?? program}`,
    version: () => versionOf(program, ['-version']),
    judgesClients: true,
    async verdicts(directory, chains) {
      const servers = await serve(chains)
      const proxy = await startProxy()
      const rows: string[] = []
      const roots = [...new Set(chains.map(({ root }) => root))]
      for (const [i, { use = 'server', leaf, intermediate, root }] of chains.entries()) {
        const rootFile = join(directory, `root-${roots.indexOf(root)}.pem`)
        const chainFile = join(directory, `chain-${i}.pem`)
        await writeFile(rootFile, root)
        await writeFile(chainFile, leaf + intermediate)
        const { port, host } = servers.served[i] ?? {}
        const question = use === 'client' ? ['client', chainFile] : ['server', port, host]
        rows.push([rootFile, ...question].join('\t'))
      }
      const args = await buildJava(join(import.meta.dirname, 'clients/Ask.java'), program)
      try {
        const answer = await runTool(program, [...args, String(proxy.port)], `${rows.join('\n')}\n`)
        return inLines(chains, answer)
      } finally {
        proxy.close()
        servers.close()
      }
    },
  }
}

/** Every client of this machine, and the names of those that it lacks. */
export async function findClients(): Promise<{ found: Client[]; missing: string[] }> {
  const found: Client[] = [node]
  const missing: string[] = []
  const rows: readonly (readonly [program: string, missed: string, client: Client])[] = [
    ['curl', 'curl', curl],
    ['python3', 'python3', script('Python ssl', 'python3', 'ask.py', ['-VV'])],
    ['php', 'php of php-cli', script('PHP', 'php', 'ask.php', ['--version'])],
    ['ruby', 'ruby', script('Ruby', 'ruby', 'ask.rb', ['--version'])],
    ['wget', 'wget', wget],
    ['gnutls-cli', 'gnutls-cli of gnutls-bin', gnutls],
    ['tstclnt', 'tstclnt of libnss3-tools', tstclnt],
  ]
  for (const [program, missed, client] of rows)
    if (await hasTool(program)) found.push(client)
    else missing.push(missed)
  const perl = script('Perl IO::Socket::SSL', 'perl', 'ask.pl', [
    '-MIO::Socket::SSL',
    '-e',
    'print "Perl $^V, IO::Socket::SSL $IO::Socket::SSL::VERSION"',
  ])
  if ((await runTool('perl', ['-MIO::Socket::SSL', '-e', '1'])).exitCode === 0) found.push(perl)
  else missing.push('IO::Socket::SSL of libio-socket-ssl-perl')
  // Each JDK takes seconds; the last stands for all in the short form.
  const jdks = (await javaPrograms()).toReversed()
  found.push(...jdks.map((program, i) => java(program, i === 0 ? {} : { short: 'none' })))
  return { found, missing }
}
