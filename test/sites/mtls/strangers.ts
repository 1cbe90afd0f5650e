import { existsSync, readdirSync, realpathSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { buildGo } from '../../helpers/go-program.ts'
import { run } from '../../helpers/subprocess.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { pkcs12Password, type ClientFiles } from './credentials.ts'

/** What a program was given: `answered` holds the body, `refused` what the program said of it. */
export interface Outcome {
  readonly outcome: 'answered' | 'refused'
  readonly said: string
}

/** Where to ask, and the root to trust there. */
export interface Destination {
  readonly port: number
  readonly root: string
  readonly home: string
}

/** A TLS client that nobody here wrote. */
export interface Stranger {
  readonly name: string
  /** `null`: it shows no certificate. */
  ask(this: void, to: Destination, client: ClientFiles | null): Promise<Outcome>
  /** Why it cannot run here; `null`: it can. */
  readonly unavailable: string | null
}

const json = 'application/json'

export const strangers: readonly Stranger[] = [
  curl('curl with HTTP/1.1', '--http1.1'),
  curl('curl with HTTP/2', '--http2'),
  {
    name: 'openssl s_client',
    unavailable: absent('openssl'),
    async ask({ port, root, home }, client) {
      const own = client === null ? [] : ['-cert', client.cert, '-key', client.key]
      // It sends one certificate unless it is given the others.
      const chain = client === null ? [] : ['-cert_chain', client.cert]
      const to = ['-connect', `127.0.0.1:${port}`, '-servername', 'localhost', '-ign_eof']
      const request = `GET / HTTP/1.0\r\nHost: localhost\r\nAccept: ${json}\r\n\r\n`
      const args = ['s_client', ...to, '-CAfile', root, ...own, ...chain]
      const ran = await run('openssl', args, scrubbedEnvironment(home), { input: request })
      return judge(ran.stdout + ran.stderr)
    },
  },
  goHttp(),
  script('Python ssl', 'python3', '-c', (port, root, client) => {
    const own = client === null ? '' : `context.load_cert_chain(${quote(client.cert, client.key)})`
    return `
import ssl, urllib.request
context = ssl.create_default_context(cafile=${quote(root)})
${own}
request = urllib.request.Request('https://localhost:${port}/', headers={'Accept': '${json}'})
print(urllib.request.urlopen(request, context=context, timeout=200).read().decode())`
  }),
  script('Node https', process.execPath, '-e', (port, root, client) => {
    const own =
      client === null ? '' : `cert: read(${quote(client.cert)}), key: read(${quote(client.key)}),`
    return `
const read = (path) => require('fs').readFileSync(path)
const options = { ca: read(${quote(root)}), ${own} headers: { Accept: '${json}' } }
require('https').get('https://localhost:${port}/', options, (response) => response.pipe(process.stdout))`
  }),
]

function curl(name: string, version: string): Stranger {
  return {
    name,
    unavailable: absent('curl'),
    async ask({ port, root, home }, client) {
      const own = client === null ? [] : ['--cert', client.cert, '--key', client.key]
      const args = ['-sS', version, '--cacert', root, ...own, '-H', `Accept: ${json}`]
      const url = `https://localhost:${port}/`
      const ran = await run('curl', [...args, url], scrubbedEnvironment(home))
      return judge(ran.stdout + ran.stderr)
    },
  }
}

/** Built by the first question, in the home of the tests. */
function goHttp(): Stranger {
  let program: Promise<string> | null = null
  return {
    name: 'Go net/http',
    unavailable: absent('go'),
    async ask({ port, root, home }, client) {
      program ??= buildGo(join(import.meta.dirname, 'mutual.go'), home)
      const own = client === null ? [] : [client.cert, client.key]
      const args = [`https://localhost:${port}/`, root, ...own]
      const ran = await run(await program, args, scrubbedEnvironment(home))
      return judge(ran.stdout + ran.stderr)
    },
  }
}

function script(
  name: string,
  program: string,
  flag: string,
  text: (port: number, root: string, client: ClientFiles | null) => string,
): Stranger {
  return {
    name,
    unavailable: absent(program),
    async ask({ port, root, home }, client) {
      const ran = await run(program, [flag, text(port, root, client)], scrubbedEnvironment(home))
      return judge(ran.stdout + ran.stderr)
    },
  }
}

/** Only the demo page holds this, and it must never reach a client that is refused. */
function judge(said: string): Outcome {
  return { outcome: said.includes('"groupsOffered"') ? 'answered' : 'refused', said }
}

/** The Javas of this machine that run a program from its source (JEP 330). */
export function javas(): string[] {
  const jvms = '/usr/lib/jvm'
  const homes = existsSync(jvms) ? readdirSync(jvms).map((name) => join(jvms, name)) : []
  const able = homes.filter((home) => existsSync(join(home, 'bin/javac')))
  return [...new Set(able.map((home) => realpathSync(home)))]
}

/** Asks with each file by both of Java's clients: `HttpClient good` → its outcome. */
export async function askByJava(
  home: string,
  { port, root, home: directory }: Destination,
  clients: readonly (readonly [name: string, files: ClientFiles | null])[],
): Promise<Map<string, Outcome>> {
  const source = join(import.meta.dirname, 'Mutual.java')
  const paths = clients.map(([, files]) => files?.pkcs12 ?? '-')
  const args = [source, `https://localhost:${port}/`, root, pkcs12Password, ...paths]
  const ran = await run(join(home, 'bin/java'), args, scrubbedEnvironment(directory))
  const outcomes = new Map<string, Outcome>()
  for (const line of ran.stdout.trim().split('\n')) {
    const [client = '', path = '', ...said] = line.split(' ')
    const name = clients[paths.indexOf(path)]?.[0] ?? ''
    outcomes.set(`${client} ${name}`, judge(said.join(' ')))
  }
  if (outcomes.size < 2 * clients.length) throw new Error(ran.stdout + ran.stderr)
  return outcomes
}

function absent(program: string): string | null {
  const path = scrubbedEnvironment('/')['PATH'] ?? ''
  const candidates = path.split(delimiter).map((directory) => join(directory, program))
  const found = [program, ...candidates].some((file) => file.startsWith('/') && existsSync(file))
  return found ? null : `${program} is not installed`
}

const quote = (...texts: string[]): string => texts.map((text) => JSON.stringify(text)).join(', ')
