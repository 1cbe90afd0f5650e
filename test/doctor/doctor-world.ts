import { once } from 'node:events'
import { join } from 'node:path'
import { ensureBuilt, project } from '../helpers/built.ts'
import { openNamespace, type Namespace } from '../helpers/namespace.ts'
import { rootlingIn, type Rootling } from '../helpers/rootling.ts'
import { killGroup, waitFor } from '../helpers/subprocess.ts'

const httpsServer = `
  const [cert, key, port, ...hosts] = process.argv.slice(1)
  const { readFileSync: read } = require('fs')
  for (const host of hosts)
    require('https').createServer({ cert: read(cert), key: read(key) }, (_, r) => r.end('hello'))
      .on('tlsClientError', () => {}).listen(Number(port), host)`

/** A finding, as `doctor --json` prints it. */
interface FoundRow {
  readonly code: string
  readonly subject: string
  readonly severity: string
  readonly sentence: string
  readonly remedy: string
  readonly command?: string
  readonly safe: boolean
}

interface Examined {
  readonly exitCode: number | null
  readonly findings: readonly FoundRow[]
  readonly codes: readonly string[]
  readonly answer: Record<string, unknown>
}

/** A machine in a namespace on which doctor is run. */
export interface DoctorWorld {
  readonly namespace: Namespace
  readonly rootling: Rootling
  /** The state directory of the authority. */
  readonly state: string
  doctor(args?: readonly string[], env?: Readonly<Record<string, string>>): Promise<Examined>
  /** Runs a shell script, with `$HOME` and `$STATE`, and fails with it. */
  sh(script: string): Promise<string>
  /** Starts a server and waits until it listens on a port; `stopServers` ends it. */
  start(program: string, args: readonly string[], port: number): Promise<void>
  /** Starts an HTTPS server of Node's on these addresses, by default 127.0.0.1 and ::1. */
  serve(cert: string, key: string, port: number, hosts?: readonly string[]): Promise<void>
  stopServers(): Promise<void>
  /** Calls `certificateFor` with these options, as JavaScript; creates the authority where needed. */
  certificateFor(
    names: readonly string[],
    options: string,
    state?: string,
  ): Promise<{ readonly cert: string; readonly key: string }>
}

export async function openDoctorWorld(): Promise<DoctorWorld> {
  const namespace = await openNamespace({ ownLoopback: true })
  const rootling = rootlingIn(namespace)
  const state = join(namespace.home, '.local/share/rootling')
  const servers: ReturnType<Namespace['spawn']>[] = []
  const start: DoctorWorld['start'] = async (program, args, port) => {
    const server = namespace.spawn(program, args)
    servers.push(server)
    let said = ''
    server.stderr.on('data', (data: Buffer) => (said += String(data)))
    server.stdout.resume()
    const listens = `ss -ltn | grep -q ':${port} '`
    await waitFor(`${program} on port ${port}: ${said}`, async () => {
      if (server.exitCode !== null) throw new Error(`${program} ended: ${said}`)
      return (await namespace.run('sh', ['-c', listens])).exitCode === 0 ? true : null
    })
  }
  return {
    namespace,
    rootling,
    state,
    start,
    serve: (cert, key, port, hosts = ['127.0.0.1', '::1']) =>
      start(process.execPath, ['-e', httpsServer, cert, key, String(port), ...hosts], port),
    async stopServers() {
      for (const server of servers.splice(0)) {
        killGroup(server)
        if (server.exitCode === null && server.signalCode === null) await once(server, 'close')
      }
    },
    async doctor(args = [], env = {}) {
      const { exitCode, answer, stderr } = await rootling.json(['doctor', ...args], { env })
      const { findings } = answer as unknown as { findings?: readonly FoundRow[] }
      if (findings === undefined)
        throw new Error(`doctor failed: ${JSON.stringify(answer)}${stderr}`)
      const codes = findings.map(({ code }) => code)
      return { exitCode, findings, codes, answer: { ...answer } }
    },
    async sh(script) {
      const env = { STATE: state }
      return (await namespace.must('sh', ['-euc', script], { env })).stdout
    },
    async certificateFor(names, options, home = state) {
      ensureBuilt()
      const script = `
        const { certificateFor } = await import(process.argv[1])
        const made = { home: process.argv[2], ...${options} }
        const { certPath, keyPath } = await certificateFor(${JSON.stringify(names)}, made)
        console.log(JSON.stringify({ cert: certPath, key: keyPath }))`
      const library = join(project, 'dist/library/index.js')
      const args = ['--input-type=module', '-e', script, library, home]
      const { stdout } = await namespace.must(process.execPath, args)
      return JSON.parse(stdout) as { cert: string; key: string }
    },
  }
}
