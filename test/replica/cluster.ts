import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished } from 'vitest'
import { builtPrograms } from '../helpers/built.ts'
import { freePort } from '../helpers/free-port.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { killGroup, run, start, terminate, waitFor } from '../helpers/subprocess.ts'

/** A team's server: replicas that are processes of the built command, with HAProxy before them. */
export interface Team {
  readonly replicas: readonly ReplicaProcess[]
  /** The URL of the ACME directory, at HAProxy. */
  readonly directory: string
  /** The root: PEM, and its file. */
  readonly root: string
  readonly rootPath: string
  readonly responder: WebResponder
  /** A temporary directory, and an environment of programs, with nothing of the person who tests. */
  readonly home: string
  readonly env: Readonly<Record<string, string>>
  /** Runs `rootling`, and returns what it prints as JSON. */
  json(args: readonly string[], program?: string): Promise<Record<string, unknown>>
  /** What all replicas have logged, one object a line. */
  log(): readonly LogLine[]
  /** How often a replica was killed, or drained. */
  readonly kills: number
  readonly drains: number
  /** Begins one more replica, behind HAProxy from its start on. There may be up to six. */
  add(program?: string): Promise<ReplicaProcess>
}

interface LogLine {
  readonly event?: string
  readonly route?: string
  readonly status?: number | null
  readonly error?: string
}

interface ReplicaProcess {
  readonly name: string
  /** Kills it at once, and starts it again. */
  restart(): Promise<void>
  /** Asks it to end, and expects that it does so in order. */
  drain(): Promise<void>
  /** Starts it again after `drain`. */
  start(): Promise<void>
}

/** Answers http-01 from `answers`, and from the files that lego and certbot write into a directory. */
interface WebResponder {
  readonly port: number
  readonly answers: Map<string, string>
  readonly webroot: string
  close(): Promise<void>
}

async function startWebResponder(webroot: string): Promise<WebResponder> {
  const answers = new Map<string, string>()
  const directory = join(webroot, '.well-known/acme-challenge')
  await mkdir(directory, { recursive: true })
  const server: Server = createServer((asked, response) => {
    const token = asked.url?.split('/').at(-1) ?? ''
    const answer = answers.get(token)
    const file = answer === undefined ? readFile(join(directory, token), 'utf8') : answer
    Promise.resolve(file).then(
      (text) => response.end(text),
      () => response.writeHead(404).end(),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    answers,
    webroot,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export interface TeamOptions {
  /** The database as its owner reaches it, and as replicas do. */
  readonly owner: string
  readonly serving: string
  /** The role that serves. */
  readonly role: string
  /** How many replicas there are; default: 3. */
  readonly count?: number
}

const mostReplicas = 6

/** Makes the authority, and starts all. It ends with the test. */
export async function startTeam({ owner, serving, role, count = 3 }: TeamOptions): Promise<Team> {
  const programs = builtPrograms()
  const home = await mkdtemp(join(tmpdir(), 'rootling-team-'))
  onTestFinished(() => rm(home, { recursive: true, force: true }))
  const env = { ...scrubbedEnvironment(home), ROOTLING_HOME: join(home, 'state') }
  const passphrase = join(home, 'passphrase')
  await writeFile(passphrase, 'correct horse battery\n', { mode: 0o600 })
  const keyFile = ['--passphrase-file', passphrase]
  const responder = await startWebResponder(join(home, 'webroot'))
  onTestFinished(() => responder.close())
  async function json(args: readonly string[], program = programs.rootling) {
    const all = { ...env, PATH: process.env['PATH'] ?? '' }
    const { exitCode, stdout, stderr } = await run(program, [...args, '--json'], all)
    expect(exitCode, stderr).toBe(0)
    return JSON.parse(stdout) as Record<string, unknown>
  }
  const permit = ['--permit', 'localhost', '--force', '--grant', role]
  const made = await json(['server', 'init', '--database', owner, ...permit, ...keyFile])
  const root = String(made['root'])
  const rootPath = join(home, 'root.pem')
  await writeFile(rootPath, root)

  const front = await freePort()
  const lines: LogLine[] = []
  const counted = { kills: 0, drains: 0 }

  function openReplica(name: string, port: number, program = programs.rootling): ReplicaProcess {
    let child: ReturnType<typeof start>
    const line = [
      ...['server', '--database', serving, '--url', `https://localhost:${front}`],
      ...['--port', String(port), '--replica', name, '--socket', join(home, `${name}.sock`)],
      ...['--allow-address', '127.0.0.1', '--allow-address', '::1', '--drain', '1'],
      ...['--http01-port', String(responder.port), '--proxy', '127.0.0.1'],
      ...['--no-eab-required', '--no-limits', ...keyFile],
    ]
    /** As the unit of systemd in docs/server: what ends without its database is started again. */
    async function begin(): Promise<void> {
      for (let tries = 1; ; tries++)
        try {
          return await beginOnce()
        } catch (error) {
          if (tries === 10 || !String(error).includes('does not answer')) throw error
        }
    }
    async function beginOnce(): Promise<void> {
      const started = start(program, line, env)
      child = started
      let output = ''
      for (const stream of [started.stdout, started.stderr]) {
        let rest = ''
        stream.on('data', (text) => {
          output = (output + String(text)).slice(-10_000)
          const whole = (rest + String(text)).split('\n')
          rest = whole.pop() ?? ''
          for (const one of whole) if (one.startsWith('{')) lines.push(JSON.parse(one) as LogLine)
        })
      }
      await waitFor(`the replica ${name}`, () => {
        if (started.exitCode !== null) throw new Error(`the replica ${name} ended: ${output}`)
        return output.includes('listening') ? true : null
      })
    }
    onTestFinished(() => terminate(child))
    return {
      name,
      start: begin,
      async restart() {
        counted.kills++
        const ended = once(child, 'close')
        killGroup(child)
        await ended
        await begin()
      },
      async drain() {
        counted.drains++
        await terminate(child)
        expect([name, child.exitCode, child.signalCode]).toEqual([name, 0, null])
      },
    }
  }

  const ports: number[] = []
  for (let i = 0; i < mostReplicas; i++) ports.push(await freePort())
  const replicas: ReplicaProcess[] = []
  async function add(program?: string): Promise<ReplicaProcess> {
    const name = 'abcdef'[replicas.length] ?? ''
    const replica = openReplica(name, ports[replicas.length] ?? 0, program)
    replicas.push(replica)
    await replica.start()
    return replica
  }
  for (let i = 0; i < count; i++) await add()
  await balance({ front, ports, home, env })
  return {
    replicas,
    directory: `https://localhost:${front}/acme/directory`,
    root,
    rootPath,
    responder,
    home,
    env,
    json,
    log: () => lines,
    get kills() {
      return counted.kills
    },
    get drains() {
      return counted.drains
    },
    add,
  }
}

interface Front {
  readonly front: number
  readonly ports: readonly number[]
  readonly home: string
  readonly env: Readonly<Record<string, string>>
}

/**
 * HAProxy, which tries another replica where one cannot be connected to. Where none is ready, as without a
 * database, those that run answer.
 */
async function balance({ front, ports, home, env }: Front): Promise<void> {
  const file = join(home, 'haproxy.cfg')
  const servers = ports.map((port, i) => `  server r${i} 127.0.0.1:${port}`).join('\n')
  const backend = (name: string, path: string): string => `backend ${name}
  balance roundrobin
  option redispatch 1
  option httpchk GET ${path}
  http-check send hdr Host localhost
  http-check expect status 200
  default-server send-proxy-v2 check check-ssl verify none inter 200ms fall 1 rise 1
${servers}
`
  await writeFile(
    file,
    `defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  retries 6
frontend acme
  bind 127.0.0.1:${front}
  default_backend ready
  use_backend running if { nbsrv(ready) eq 0 }
${backend('ready', '/readyz')}${backend('running', '/healthz')}`,
  )
  const child = start('/usr/sbin/haproxy', ['-db', '-f', file], env)
  onTestFinished(() => terminate(child))
  let output = ''
  child.stderr.on('data', (text) => (output = (output + String(text)).slice(-10_000)))
  child.stdout.resume()
  await waitFor('HAProxy', () => {
    if (child.exitCode !== null) throw new Error(output)
    return isReady(front)
  })
}

const isReady = (port: number): Promise<true | null> =>
  new Promise((resolve) => {
    const options = { host: 'localhost', port, path: '/readyz', agent: false as const }
    request({ ...options, rejectUnauthorized: false }, (response) => {
      response.resume()
      resolve(response.statusCode === 200 ? true : null)
    })
      .on('error', () => resolve(null))
      .end()
  })
