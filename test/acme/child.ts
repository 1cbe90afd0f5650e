import { once } from 'node:events'
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'rolldown'
import { nodeFlags } from '../../src/daemon/garbage.ts'
import { ensureAuthority } from '../../src/authority/create.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { killGroup, start } from '../helpers/subprocess.ts'
import { temporaryState } from '../helpers/temporary.ts'

/** An ACME server in a process of its own, which can be killed and started again. */
export interface ServerProcess {
  readonly state: { readonly path: string; readonly owner: null }
  readonly root: string
  readonly directory: string
  /** SIGKILL, and a new process on the same port over the same state. */
  killAndRestart(): Promise<void>
  /** Ends it in peace; gives what it said. */
  stop(): Promise<string>
}

export interface Bundle {
  readonly path: string
  remove(): Promise<void>
}

/** Bundles the server, since Node 20 runs no TypeScript. */
export async function bundleServer(): Promise<Bundle> {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-acme-child-'))
  const path = join(directory, 'server.mjs')
  await build({
    input: join(import.meta.dirname, 'server-child.ts'),
    platform: 'node',
    external: [/^[\w-]+$/, /^node:/, /^node-forge/],
    // In several files, so that what the server does not need is not loaded, as in the package.
    output: { dir: directory, entryFileNames: 'server.mjs', format: 'esm' },
    logLevel: 'silent',
  })
  await symlink(resolve('node_modules'), join(directory, 'node_modules'))
  return { path, remove: () => rm(directory, { recursive: true, force: true }) }
}

export async function startServerProcess(bundle: Bundle, http01: number): Promise<ServerProcess> {
  const state = await temporaryState()
  const { scope } = await ensureAuthority(state, new Date())
  const root = await readFile(scope.rootPath, 'utf8')
  let port = 0
  let said = ''
  const launch = async () => {
    const options = ['--state', state.path, '--port', String(port), '--http01', String(http01)]
    const args = [...nodeFlags, bundle.path, ...options]
    const child = start(process.execPath, args, scrubbedEnvironment(homedir()))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
    const ready = new Promise<number>((done, failed) => {
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        said += text
        const found = /ready (\d+)/.exec(text)
        if (found !== null) done(Number(found[1]))
      })
      child.once('close', () => failed(new Error(`the server ended: ${said}`)))
    })
    port = await ready
    return child
  }
  let child = await launch()
  return {
    state: { path: state.path, owner: null },
    root,
    directory: `https://localhost:${port}/acme/directory`,
    async killAndRestart() {
      const closed = once(child, 'close')
      killGroup(child)
      await closed
      child = await launch()
    },
    async stop() {
      const closed = once(child, 'close')
      child.kill('SIGTERM')
      await closed
      return said
    },
  }
}
