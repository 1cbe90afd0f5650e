import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest'
import { builtPrograms } from '../helpers/built.ts'
import { freePort } from '../helpers/free-port.ts'
import { usePostgres } from '../helpers/postgres.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run, start, terminate, waitFor, type Finished } from '../helpers/subprocess.ts'

export interface StartedReplica {
  readonly port: number
  readonly revocationPort: number
  readonly log: () => string
  readonly child: ReturnType<typeof start>
}

/** The built command, a directory of its own, and a PostgreSQL, for the tests of one file. */
export function useTeam() {
  const postgres = usePostgres()
  const programs = builtPrograms()
  let directory: string
  let env: Record<string, string>
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'rootling-team-'))
    env = { ...scrubbedEnvironment(directory), ROOTLING_HOME: join(directory, 'state') }
    env['PATH'] = process.env['PATH'] ?? ''
    await writeFile(join(directory, 'passphrase'), 'correct horse battery\n', { mode: 0o600 })
  })
  afterAll(() => rm(directory, { recursive: true, force: true }))
  const rootling = (args: readonly string[], more: Readonly<Record<string, string>> = {}) =>
    run(programs.rootling, args, { ...env, ...more })
  return {
    postgres,
    get directory() {
      return directory
    },
    file: (name: string): string => join(directory, name),
    keyFile: () => ['--passphrase-file', join(directory, 'passphrase')],
    rootling,
    /** Runs a command that succeeds, and returns its JSON. */
    async json(
      args: readonly string[],
      more: Readonly<Record<string, string>> = {},
    ): Promise<Record<string, any>> {
      const { exitCode, stdout, stderr } = await rootling([...args, '--json'], more)
      expect(exitCode, stderr).toBe(0)
      return JSON.parse(stdout) as Record<string, any>
    },
    /** Starts a command, for a test that ends it by itself. */
    start: (args: readonly string[]) => start(programs.rootling, args, env),
    program: (name: string, args: readonly string[], input?: string): Promise<Finished> =>
      run(name, args, env, input === undefined ? {} : { input }),
    /** A database whose owner and whose role that serves are different. */
    async database(): Promise<{ owner: string; serving: string; grant: readonly string[] }> {
      const owner = await postgres.create()
      const role = `serving_${owner.split('/').at(-1)}`
      await postgres.server.psql(owner, `create role ${role} login`)
      const serving = owner.replace('postgres@', `${role}@`)
      return { owner, serving, grant: ['--grant', role] }
    },
    /** Starts a replica, of which the balancer at `url` may be in front; it ends with the test. */
    async startReplica(
      database: string,
      url: string,
      name: string,
      options: readonly string[],
      more: Readonly<Record<string, string>> = {},
    ): Promise<StartedReplica> {
      const [port, revocationPort] = [await freePort(), await freePort()]
      const child = start(
        programs.rootling,
        [
          ...['server', '--database', database, '--url', url, '--port', String(port)],
          ...['--socket', join(directory, `${name}.sock`), '--replica', name, '--drain', '0'],
          ...['--allow-address', '127.0.0.1', '--allow-address', '::1', '--no-limits'],
          ...['--revocation-port', String(revocationPort), '--no-eab-required', ...options],
        ],
        { ...env, ...more },
      )
      onTestFinished(() => terminate(child))
      let output = ''
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (text) => (output += String(text)))
      await waitFor(`the replica ${name}`, () => {
        if (child.exitCode !== null) throw new Error(output)
        return Promise.resolve(output.includes('listening') ? true : null)
      })
      return { port, revocationPort, log: () => output, child }
    },
  }
}

/** Hands each connection to the next of several ports, as a load balancer does; returns its port. */
export async function balance(ports: readonly number[]): Promise<number> {
  let turn = 0
  const front = createServer((socket) => {
    const behind = connect(ports[turn++ % ports.length] ?? 0, '127.0.0.1')
    socket.pipe(behind).pipe(socket)
    for (const one of [socket, behind])
      one.on('error', () => [socket, behind].forEach((each) => each.destroy()))
  })
  front.listen(0, '127.0.0.1')
  await once(front, 'listening')
  onTestFinished(() => void front.close())
  return (front.address() as AddressInfo).port
}

/** Fetches a path of a server whose certificate a root of `ca` has to confirm. */
export function fetchText(port: number, path: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    request({ host: 'localhost', port, path, agent: false, ca }, (response) => {
      let text = ''
      response.on('data', (chunk) => (text += String(chunk)))
      response.on('end', () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(text)),
      )
    })
      .on('error', reject)
      .end()
  })
}
