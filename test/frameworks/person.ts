import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { get } from 'node:https'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'
import { chromium, type BrowserContext } from 'playwright-core'
import { onTestFinished } from 'vitest'
import { ensureAuthority } from '../../src/authority/create.ts'
import type { StateDirectory } from '../../src/home/state-directory.ts'
import { builtPrograms } from '../helpers/built.ts'
import { scrubbedEnvironment } from '../helpers/scrubbed.ts'
import { killGroup, start, waitFor } from '../helpers/subprocess.ts'
import { temporaryDirectory } from '../helpers/temporary.ts'

/** Somebody with an authority of their own, whose Chromium trusts it; nobody else does. */
export interface Person {
  readonly env: Readonly<Record<string, string>>
  /** PEM. */
  readonly root: string
  readonly state: StateDirectory
  /** Starts a program in a directory; it ends with the test. */
  start(
    directory: string,
    command: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Started
  openBrowser(): Promise<BrowserContext>
}

export interface Started {
  /** Returns all that the program has printed so far. */
  said(): string
  /** Resolves with its exit code when it has ended. */
  readonly ended: Promise<number | null>
}

/**
 * Makes a person with a home directory of their own. Chromium reads its roots from there, and
 * nothing of this machine is written. `node` is the Node that runs their programs.
 */
export async function makePerson(node: string): Promise<Person> {
  const { rootling } = builtPrograms()
  const home = await temporaryDirectory()
  const state = { path: join(home, 'state'), owner: null }
  const { scope } = await ensureAuthority(state, new Date())
  const root = scope.root.toString()
  const database = join(home, '.local/share/pki/nssdb')
  await mkdir(database, { recursive: true })
  await writeFile(join(home, 'root.pem'), root)
  const nss = ['-d', `sql:${database}`]
  const env = scrubbedEnvironment(home, { ROOTLING_HOME: state.path, NO_COLOR: '1' })
  await promisify(execFile)('certutil', ['-N', ...nss, '--empty-password'], { env })
  const trusted = ['-A', '-t', 'C,,', '-n', 'root', '-i', join(home, 'root.pem')]
  await promisify(execFile)('certutil', [...nss, ...trusted], { env })
  const bin = [join(node, '..'), join(rootling, '..')].join(':')
  const own = { ...env, PATH: `${bin}:${env['PATH']}` }
  return {
    env: own,
    root,
    state,
    start(directory, command, more) {
      const words = ['-c', 'cd "$0" && exec "$@"', directory, ...command]
      const program = start('sh', words, { ...own, ...more })
      let printed = ''
      for (const stream of [program.stdout, program.stderr])
        stream.setEncoding('utf8').on('data', (chunk: string) => (printed += chunk))
      onTestFinished(() => killGroup(program))
      const ended = once(program, 'close').then(([code]) => code as number | null)
      return { said: () => printed, ended }
    },
    async openBrowser() {
      const context = await chromium.launchPersistentContext(join(home, 'profile'), {
        executablePath: '/usr/bin/chromium',
        env,
        timeout: 300_000,
        args: [
          '--no-sandbox',
          '--disable-gpu',
          '--disable-quic',
          '--disable-dev-shm-usage',
          '--no-first-run',
          '--disable-background-networking',
          '--disable-component-update',
          '--disable-sync',
        ],
      })
      onTestFinished(() => context.close())
      return context
    },
  }
}

/** Waits until a server answers over HTTPS to a client that trusts the person's root alone. */
export function untilServed(url: string, { root }: Person, { said }: Started): Promise<string> {
  const attempt = (): Promise<string | null> =>
    new Promise((resolve) => {
      get(url, { ca: root, agent: false, headers: { accept: 'text/html' } }, (response) => {
        resolve(text(response))
      }).on('error', () => resolve(null))
    })
  return waitFor(`an answer at ${url}`, attempt).catch((error: Error) => {
    throw new Error(`${error.message}; the server said: ${said()}`)
  })
}
