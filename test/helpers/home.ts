import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { scrubbedEnvironment } from './scrubbed.ts'
import { killGroup, run, start, waitFor } from './subprocess.ts'
import type { Finished, RunOptions } from './subprocess.ts'
import { command, ensureBuilt, project } from './built.ts'

/**
 * Runs the built command with an empty home, for tests that change no trust store. The home is
 * deleted after the test.
 */
export interface Home {
  readonly directory: string
  readonly rootling: (args: readonly string[], options?: RunOptions) => Promise<Finished>
  /** Runs another program in this home. */
  readonly run: (program: string, args: readonly string[]) => Promise<Finished>
  readonly json: (args: readonly string[]) => Promise<Said>
  /** Starts `rootling serve` on a free port and waits until it listens. */
  readonly serve: (args?: readonly string[]) => Promise<Server>
  /**
   * Creates the authority without trusting it; returns the path of its root. Whether stores trust it
   * is unknown, as of one that an older version made, so that `issue` does not warn of it.
   */
  readonly createAuthority: () => Promise<string>
  /** Issues a certificate that was valid for one day a month ago; returns its paths. */
  readonly issueExpired: () => Promise<{ readonly certPath: string; readonly keyPath: string }>
}

interface Said {
  readonly exitCode: number | null
  readonly value: Record<string, unknown>
  readonly stderr: string
}

interface Server {
  readonly program: ChildProcessWithoutNullStreams
  readonly url: string
  /** Returns what was printed on stderr so far. */
  readonly log: () => string
}

/** Opens a home in which `node` runs the command. */
export function openHome(node = process.execPath): Home {
  ensureBuilt()
  const directory = mkdtempSync(join(tmpdir(), 'rootling-cli-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  const environment = (extra: RunOptions['env'] = {}) =>
    scrubbedEnvironment(directory, { ROOTLING_HOME: join(directory, 'state'), ...extra })
  // `env --chdir` makes the files of a certificate go into the home, not into the project.
  const inside = (args: readonly string[]) => [`--chdir=${directory}`, node, command, ...args]
  const runInside: Home['run'] = (program, args) =>
    run('env', [`--chdir=${directory}`, program, ...args], environment())
  const rootling: Home['rootling'] = (args, { env, ...options } = {}) =>
    run('env', inside(args), environment(env), options)
  return {
    directory,
    rootling,
    run: runInside,
    async json(args) {
      const { exitCode, stdout, stderr } = await rootling(['--json', ...args])
      return { exitCode, value: JSON.parse(stdout) as Record<string, unknown>, stderr }
    },
    async serve(args = []) {
      const program = start('env', inside(['serve', '--port=0', ...args]), environment())
      onTestFinished(() => killGroup(program))
      const said = { stdout: '', stderr: '' }
      for (const name of ['stdout', 'stderr'] as const)
        program[name].setEncoding('utf8').on('data', (text: string) => (said[name] += text))
      const url = await waitFor('the URL of rootling serve', () => {
        if (program.exitCode !== null) throw new Error(`rootling serve ended: ${said.stderr}`)
        return /^(https:\S+)\n/.exec(said.stdout)?.[1] ?? null
      })
      return { program, url, log: () => said.stderr }
    },
    async createAuthority() {
      const { caPath } = await certificateFor('{}')
      rmSync(join(directory, 'state', 'stores.json'))
      return caPath
    },
    issueExpired: () => certificateFor('{ days: 1, now: () => new Date(Date.now() - 30 * 864e5) }'),
  }

  async function certificateFor(options: string) {
    const script = `
      const { certificateFor } = await import(process.argv[1])
      const { caPath, certPath, keyPath } = await certificateFor(['localhost'], ${options})
      console.log(JSON.stringify({ caPath, certPath, keyPath }))`
    const library = join(project, 'dist/library/index.js')
    const args = ['--input-type=module', '-e', script, library]
    const { exitCode, stdout, stderr } = await run(process.execPath, args, environment())
    if (exitCode !== 0) throw new Error(`no certificate was made: ${stderr}`)
    return JSON.parse(stdout) as { caPath: string; certPath: string; keyPath: string }
  }
}
