import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { onTestFinished } from 'vitest'
import { freePort } from '../../helpers/free-port.ts'
import { start, terminate, waitFor } from '../../helpers/subprocess.ts'
import { recipe, type InteropWorld, type PairFiles } from './interop-world.ts'

/** Starts a server; `ca` is the name of its file of client CAs in `~/tls`, without `.pem`. */
export type Open = (world: InteropWorld, ca: string) => Promise<Running>

export interface Running {
  /** Shows a certificate; `null`: none. */
  readonly ask: (client: PairFiles | null) => Promise<Said>
}

interface Said {
  /** What the server calls the client; `null`: it refused the client. */
  readonly name: string | null
  /** What client and server have said of this connection so far. */
  readonly reason: () => string
}

/** What a client has read, and the error that it met. */
export interface Read {
  readonly read: string
  readonly error?: string
}

/** A server that is set up, with all that its recipe needs to know. */
export interface Place {
  readonly world: InteropWorld
  readonly port: number
  /** A directory of its own, deleted after the test. */
  readonly directory: string
  /** What the server has printed so far. */
  readonly log: () => string
}

export interface Kind {
  /** The section of docs/interop.md. */
  readonly section: string
  /** Writes the configuration from the recipe; returns the command line of the server. */
  readonly write: (blocks: readonly string[], place: Omit<Place, 'log'>) => Promise<string[]>
  /** Default: by HTTP. */
  readonly ask?: (client: PairFiles | null, place: Place) => Promise<Read>
}

/** Returns a recipe with this world's home, this port and this file of client CAs. */
export function filled(text: string, home: string, port: number, ca: string): string {
  return text
    .replaceAll('/home/you', home)
    .replaceAll(/\b(?:8443|8883|5432)\b/g, String(port))
    .replaceAll('clients.p', `${ca}.p`)
}

/** Starts a server from its recipe and waits until its port answers. */
export const opens =
  ({ section, write, ask = askByHttp }: Kind): Open =>
  async (world, ca) => {
    const port = await freePort()
    const directory = await ownDirectory()
    const blocks = recipe(section).map((block) => filled(block, world.home, port, ca))
    const [program = '', ...args] = await write(blocks, { world, port, directory })
    const { child, log } = startServer(program, args, world)
    await waitFor(`${section} on port ${port}`, () => {
      if (child.exitCode !== null) throw new Error(`${section} ended: ${log()}`)
      return accepts(port)
    })
    return asking((client) => ask(client, { world, port, directory, log }), log)
  }

/** Makes a directory that is deleted after the test. */
export async function ownDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-server-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** Starts a program that is ended after the test. `log` returns what it has printed so far. */
export function startServer(
  program: string,
  args: readonly string[],
  { env }: InteropWorld,
): { readonly child: ChildProcessWithoutNullStreams; readonly log: () => string } {
  const child = start(program, args, env)
  onTestFinished(() => (child.exitCode === null ? terminate(child) : undefined))
  let log = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (log += text))
  return { child, log: () => log }
}

/** Makes a running server of a function that shows it one certificate. */
export function asking(
  ask: (client: PairFiles | null) => Promise<Read>,
  log: () => string,
): Running {
  return {
    async ask(client) {
      const before = log().length
      const { read, error = '' } = await ask(client)
      const name = /\balice(?:@example\.test)?/.exec(read)?.[0] ?? null
      return { name, reason: () => read + error + log().slice(before) }
    },
  }
}

function accepts(port: number): Promise<true | null> {
  return new Promise((resolve) => {
    const socket = connectTcp(port, '127.0.0.1')
    socket.once('error', () => resolve(null))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

const askByHttp: NonNullable<Kind['ask']> = (client, place) =>
  askByTls(client, place, 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')

/** Trusts the root of the scope `local` alone. */
export async function askByTls(
  client: PairFiles | null,
  { world, port }: Place,
  request: string,
): Promise<Read> {
  const { root } = await world.scope('local')
  const own =
    client === null ? {} : { cert: await readFile(client.cert), key: await readFile(client.key) }
  const options = { port, host: '127.0.0.1', servername: 'localhost', ca: root.toString(), ...own }
  return new Promise((resolve) => {
    const socket = connect(options, () => socket.write(request))
    const said = { read: '', error: '' }
    socket.setEncoding('utf8').on('data', (text: string) => (said.read += text))
    socket.once('error', ({ code, message }: NodeJS.ErrnoException) => {
      said.error = `${code} ${message}`
    })
    socket.once('close', () => resolve(said))
    socket.setTimeout(60_000, () => socket.destroy(new Error('no answer within a minute')))
  })
}

/** Writes a file into the server's directory; returns its path. */
export async function put(directory: string, name: string, text: string): Promise<string> {
  const path = join(directory, name)
  await writeFile(path, text)
  return path
}
