import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { command, ensureBuilt, project } from './built.ts'
import type { Namespace } from './namespace.ts'
import { killGroup } from './subprocess.ts'
import type { Finished, RunOptions } from './subprocess.ts'
import type { Tree } from './tree.ts'

/** The outcome for one root in one store, as `--json` prints it. */
interface StoreRow {
  readonly store: { readonly id: string; readonly kind: string; readonly title: string }
  readonly anchor: string | null
  readonly outcome: string
  readonly reason?: string
  readonly hint?: string
  readonly tool?: { readonly program: string; readonly install: readonly string[] | null }
}

interface ScopeRow {
  readonly name: string
  readonly subject: string
  readonly fingerprint: string
  readonly rootPath: string
}

/**
 * What the commands that deal with stores print with `--json`. Fields of other commands are left
 * out.
 */
export interface Answer {
  readonly ok: boolean
  readonly error?: { readonly code: string; readonly message: string; readonly hint: string | null }
  readonly created?: boolean
  readonly deleted?: boolean
  readonly home?: string
  readonly scopes?: readonly ScopeRow[]
  readonly stores?: readonly StoreRow[]
  readonly certificates?: readonly { readonly names: readonly string[] }[]
  readonly warnings: readonly string[]
}

/** Runs the built command inside a namespace. */
export interface Rootling {
  run(args: readonly string[], options?: RunOptions): Promise<Finished>
  /** Runs the command as `run` does. Throws, with what it printed, when it does not exit with 0. */
  must(args: readonly string[], options?: RunOptions): Promise<Finished>
  /** Runs the command with `--json`. It prints one object, whatever its exit code is. */
  json(
    args: readonly string[],
    options?: RunOptions,
  ): Promise<{ exitCode: number | null; answer: Answer; stderr: string }>
  /** Starts `rootling serve`, waits until it listens, and leaves it running. */
  serve(args: readonly string[]): Promise<Serving>
}

export interface Serving {
  readonly port: number
  /** The URL `https://localhost:PORT/`. */
  readonly url: string
  /** Returns what the server has logged so far. */
  log(): string
  close(): void
}

/** Runs the built command by a Node, or another program, by the words that come before those of a command. */
export function rootlingIn(
  namespace: Namespace,
  program = process.execPath,
  before: readonly string[] = [command],
): Rootling {
  ensureBuilt()
  const run: Rootling['run'] = (args, options) =>
    namespace.run(program, [...before, ...args], options)
  return {
    run,
    must: (args, options) => namespace.must(program, [...before, ...args], options),
    async json(args, options) {
      const { exitCode, stdout, stderr } = await run([...args, '--json'], options)
      return { exitCode, answer: parseAnswer(stdout, stderr), stderr }
    },
    async serve(args) {
      const server = namespace.spawn(program, [...before, 'serve', '--json', ...args])
      let said = ''
      server.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
      let printed = ''
      for await (const line of createInterface({ input: server.stdout })) {
        printed += line
        if (line === '}') {
          server.stdout.resume()
          const { port } = JSON.parse(printed) as { port: number }
          const url = `https://localhost:${port}/`
          return { port, url, log: () => said, close: () => killGroup(server) }
        }
      }
      throw new Error(`rootling serve ${args.join(' ')} did not listen: ${said}`)
    },
  }
}

export function parseAnswer(stdout: string, stderr: string): Answer {
  try {
    return JSON.parse(stdout) as Answer
  } catch {
    throw new Error(`no JSON on stdout: ${stdout}\n${stderr}`)
  }
}

/** Returns the outcomes of an install or an uninstall as `KIND OUTCOME`, each once, sorted. */
export function summary({ stores = [] }: Answer): string[] {
  return [...new Set(stores.map(({ store, outcome }) => `${store.kind} ${outcome}`))].toSorted()
}

/**
 * Creates the authority through the library, which trusts it nowhere. Returns the directory of the
 * scopes.
 */
export async function createAuthority(namespace: Namespace): Promise<string> {
  ensureBuilt()
  const library = join(project, 'dist/library/index.js')
  const script = `
    const { certificateFor } = await import(process.argv[1])
    const { caPath } = await certificateFor(['localhost'])
    const { rmSync } = await import('node:fs')
    // Whether stores trust it is unknown, as of one that an older version made.
    rmSync(caPath.replace(/scopes.*/, 'stores.json'))
    console.log(caPath)`
  const args = ['--input-type=module', '-e', script, library]
  const { stdout } = await namespace.must(process.execPath, args)
  return join(stdout.trim(), '../..')
}

const storePaths = [
  '/etc/ssl/certs',
  '/etc/pki',
  '/etc/ca-certificates',
  '/etc/ca-certificates.conf',
  '/usr/local/share/ca-certificates',
  '/etc/firefox',
  '/etc/chromium',
  '/var/lib/ca-certificates-java',
]

/**
 * Returns the digest of every file of every store and of the home directory, without what browsers
 * cache.
 */
export async function storeTrees(namespace: Namespace): Promise<Tree> {
  const paths = [...storePaths, ...(await keystores(namespace)), namespace.home]
  const trees = await Promise.all(paths.map((path) => namespace.readTree(path)))
  const rows = trees.flatMap((tree) => Object.entries(tree))
  const cache = /\/(?:\.cache|\.config\/chromium)/
  return Object.fromEntries(rows.filter(([path]) => !cache.test(path)))
}

async function keystores(namespace: Namespace): Promise<string[]> {
  const script = 'ls -d /usr/lib/jvm/*/lib/security/cacerts 2>&1 || true'
  const { stdout } = await namespace.must('sh', ['-c', script])
  return stdout.split('\n').filter((line) => line.startsWith('/'))
}
