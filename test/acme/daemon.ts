import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ensureAuthority } from '../../src/authority/create.ts'
import { command, ensureBuilt } from '../helpers/built.ts'
import { freePort } from '../helpers/free-port.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { run, start, terminate, waitFor, type Finished } from '../helpers/subprocess.ts'

/** The built `rootling daemon run`, with a home of its own and an authority that no store trusts. */
export interface Daemon {
  readonly state: { readonly path: string; readonly owner: null }
  /** The home; also a place for what clients write. */
  readonly directory: string
  /** `https://localhost:PORT/acme/directory`. */
  readonly acme: string
  readonly port: number
  /** The port of CRL and OCSP. */
  readonly revocation: number
  /** The process. */
  readonly pid: number
  /** Where it looks for challenges. */
  readonly http01: number
  readonly tlsAlpn01: number
  /** The file of the root. */
  readonly rootPath: string
  readonly root: () => Promise<string>
  /** Another command of the same person's; throws, with what it said, unless it exits with 0. */
  rootling(...args: readonly string[]): Promise<Record<string, unknown>>
  /** Another program in the same home. */
  run(
    program: string,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<Finished>
  environment(extra?: Readonly<Record<string, string>>): Record<string, string>
  /** What it wrote to its log. */
  log(): string
  /** Throws where its log tells of an error inside. */
  close(): Promise<void>
}

export async function startDaemon(...options: readonly string[]): Promise<Daemon> {
  ensureBuilt()
  const directory = await mkdtemp(join(tmpdir(), 'rootling-acme-daemon-'))
  const state = { path: join(directory, 'state'), owner: null }
  const environment: Daemon['environment'] = (extra = {}) =>
    scrubbedEnvironment(directory, { ROOTLING_HOME: state.path, ...extra })
  const rootling: Daemon['rootling'] = async (...args) => {
    const ended = await run(process.execPath, [command, ...args, '--json'], environment())
    if (ended.exitCode === 0) return JSON.parse(ended.stdout) as Record<string, unknown>
    throw new Error(`rootling ${args.join(' ')}: ${ended.stderr}`)
  }
  const { scope } = await ensureAuthority(state, new Date())
  const [port, http01, tlsAlpn01] = [await freePort(), await freePort(), await freePort()]
  const revocation = await freePort()
  const ports = [
    ...['--acme-port', `${port}`, '--revocation-port', `${revocation}`],
    ...['--http01-port', `${http01}`, '--tls-alpn01-port', `${tlsAlpn01}`],
  ]
  const args = [command, 'daemon', 'run', ...ports, ...options]
  const child = start(process.execPath, args, environment())
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => (said[name] += text))
  await waitFor('the daemon', () => {
    if (child.exitCode !== null) throw new Error(`the daemon ended: ${said.stderr}`)
    return /^Running since/m.exec(said.stdout)
  })
  return {
    state,
    directory,
    acme: `https://localhost:${port}/acme/directory`,
    port,
    revocation,
    pid: child.pid ?? 0,
    http01,
    tlsAlpn01,
    rootPath: scope.rootPath,
    root: () => readFile(scope.rootPath, 'utf8'),
    rootling,
    run: (program, programArgs, env) => run(program, programArgs, environment(env)),
    environment,
    log: () => said.stderr,
    async close() {
      await terminate(child)
      await rm(directory, { recursive: true, force: true })
      if (/ACME: |ended: /.test(said.stderr)) throw new Error(`the daemon said: ${said.stderr}`)
    },
  }
}
