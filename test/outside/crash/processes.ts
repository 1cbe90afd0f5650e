import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { build } from 'rolldown'
import { settleInterrupted } from '../../../src/storage/files/settle.ts'
import { exclusively } from '../../../src/storage/files/unfinished-writes.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'

export interface Bundle {
  /** The bundled child, run by `node`. */
  readonly path: string
  remove(): Promise<void>
}

/** Bundles child.ts, since Node 20 runs no TypeScript; native modules stay outside. */
export async function bundleChild(): Promise<Bundle> {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-child-'))
  const path = join(directory, 'child.mjs')
  await build({
    input: join(import.meta.dirname, 'child.ts'),
    platform: 'node',
    external: [
      /^node:/,
      'fs-native-extensions',
      'node-forge',
      /^node-forge\//,
      'execa',
      'env-paths',
    ],
    output: { file: path, format: 'esm', codeSplitting: false },
    logLevel: 'silent',
  })
  await symlink(resolve('node_modules'), join(directory, 'node_modules'))
  return { path, remove: () => rm(directory, { recursive: true, force: true }) }
}

export interface Ended {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly process: ChildProcess
  readonly ended: Promise<Ended>
  /** Ends when the child has loaded its code and begins to work. */
  readonly ready: Promise<void>
}

export function startChild(bundle: Bundle, args: readonly string[]): Running {
  const child = spawn(process.execPath, [bundle.path, ...args], {
    env: scrubbedEnvironment(homedir()),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  const ready = new Promise<void>((done) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output.stdout += text
      if (output.stdout.includes('ready')) done()
    })
    child.on('close', () => done())
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text))
  const ended = once(child, 'close').then((result) => {
    const [exitCode, signal] = result as [number | null, NodeJS.Signals | null]
    return { exitCode, signal, ...output }
  })
  return { process: child, ended, ready }
}

/** Runs a child to its end; throws with what it said when it fails. */
export async function runChild(bundle: Bundle, args: readonly string[]): Promise<Ended> {
  const ended = await startChild(bundle, args).ended
  if (ended.exitCode !== 0) throw new Error(`${args.join(' ')}: ${ended.stderr}`)
  return ended
}

/** Where a sync waits for no disk: what is synced when is not what a kill can tell. */
export const fastest = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

/** Does what the next command does first, and what one that writes does. */
export async function settle(statePath: string): Promise<void> {
  const state = { path: statePath, owner: null }
  await settleInterrupted(state)
  // A creation that died leaves nothing pending: any command that writes sweeps after it.
  await exclusively(state, async () => undefined)
}

/** Empty directories for state and output; the state's does not exist yet. */
export async function workplace(): Promise<{ root: string; state: string; out: string }> {
  const root = await mkdtemp(join(fastest, 'rootling-crash-'))
  await mkdir(join(root, 'out'))
  return { root, state: join(root, 'state'), out: join(root, 'out') }
}
