import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { command, ensureBuilt, mkcertCommand } from '../../helpers/built.ts'
import { fastest } from '../crash/processes.ts'
import { scrubbedEnvironment } from '../../helpers/scrubbed.ts'
import { run, type Finished, type RunOptions } from '../../helpers/subprocess.ts'

/** A state directory, a directory for certificates and an empty home, below one directory. */
export interface World {
  readonly root: string
  readonly state: string
  readonly out: string
  /** The environment of every program in it. */
  readonly env: Readonly<Record<string, string>>
  /** Runs the built command; `before` are the words in front of it, such as a tracer's. */
  readonly rootling: (args: readonly string[], options?: RootlingOptions) => Promise<Finished>
}

interface RootlingOptions extends RunOptions {
  readonly before?: readonly string[]
}

/** The words that make an authority and a certificate in one command that touches no trust store. */
export const mkcertLine = ({ out }: World): string[] => [
  process.execPath,
  mkcertCommand,
  `-cert-file=${out}/made.pem`,
  `-key-file=${out}/made-key.pem`,
  'localhost',
]

export const rootlingLine = (args: readonly string[]): string[] => [
  process.execPath,
  command,
  ...args,
]

/** A world that is gone after the test; the state directory does not exist yet. */
export async function openWorld(): Promise<World> {
  ensureBuilt()
  const root = await mkdtemp(join(fastest, 'rootling-faults-'))
  onTestFinished(() => rm(root, { recursive: true, force: true }))
  await mkdir(join(root, 'out'))
  await mkdir(join(root, 'home'))
  return worldIn(root)
}

/** A world over a directory that has its files already; nobody deletes it. */
export function worldIn(root: string): World {
  const env = scrubbedEnvironment(join(root, 'home'), {
    ROOTLING_HOME: join(root, 'state'),
    CAROOT: join(root, 'state'),
    TRUST_STORES: 'java',
    UV_THREADPOOL_SIZE: '1',
  })
  return {
    root,
    state: join(root, 'state'),
    out: join(root, 'out'),
    env,
    rootling: (args, { before = [], env: extra = {}, ...options } = {}) => {
      const [program = '', ...rest] = [...before, ...rootlingLine(args)]
      return run(program, rest, { ...env, ...extra }, options)
    },
  }
}

/** A copy at the path where the world was before: its record names absolute paths. */
export interface Template {
  readonly world: World
  /** Puts back how it stood when the template was taken. */
  readonly restore: () => Promise<void>
}

export async function templateOf(world: World): Promise<Template> {
  const kept = `${world.root}.${randomBytes(4).toString('hex')}`
  const copy = async (from: string, to: string): Promise<void> => {
    await run('cp', ['-a', from, to], world.env)
  }
  await copy(world.root, kept)
  onTestFinished(() => rm(kept, { recursive: true, force: true }))
  return {
    world,
    async restore() {
      await rm(world.root, { recursive: true, force: true })
      await copy(kept, world.root)
    },
  }
}

/** The files with a private key that somebody else may read, whatever they are called. */
export async function looseKeys({ root }: World): Promise<string[]> {
  const loose: string[] = []
  for (const name of await readdir(root, { recursive: true })) {
    const path = join(root, name)
    const info = await stat(path)
    if (!info.isFile() || (info.mode & 0o077) === 0) continue
    const text = await readFile(path, 'latin1')
    // A pending file holds the PEM in base64.
    if (/PRIVATE KEY-----|UFJJVkFURSBLRVk|BSSVZBVEUgS0VZ|QUklWQVRFIEtFW/.test(text))
      loose.push(path)
  }
  return loose
}

/** What of a failure is not as it should be: one sentence and a hint, an exit code, no stack. */
export function unfriendly({ exitCode, stdout, stderr }: Finished): string[] {
  const found: string[] = []
  const errors = stderr.split('\n').filter((line) => /^(Error|ERROR): /.test(line))
  // `renew` goes on with the next certificate, and has a line for each in its table.
  const rows = stdout.split('\n').filter((line) => / failed:(?: |$)/.test(line))
  // `up` and `down` do the same with their steps, and end with the code for that.
  const steps = stdout.split('\n').filter((line) => / FAILED:(?: |$)/.test(line))
  if (exitCode === 3 && steps.length > 0) return []
  if (exitCode !== 1 && exitCode !== 2) found.push(`exit code ${exitCode}`)
  if (errors.length !== 1 && rows.length === 0) found.push(`${errors.length} errors`)
  if (/^\s+at |node:internal|Something unexpected/m.test(stderr)) found.push('a defect’s words')
  return found.length === 0 ? [] : [`${found.join(', ')}: ${stdout}${stderr}`]
}
