import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { certificateFor } from '../../src/library/certificate-for.ts'
import { scrubbedEnvironment } from '../../test/helpers/scrubbed.ts'
import { run } from '../../test/helpers/subprocess.ts'

/** The program and the script of the command, as the package ships it. */
export const rootling = [process.execPath, join(process.cwd(), 'dist/cli/rootling.cjs')] as const

/** A directory with a home and an authority of its own, trusted nowhere. */
export interface World {
  readonly directory: string
  readonly state: string
  readonly env: Readonly<Record<string, string>>
  /**
   * Runs `rootling` with `--json` and returns what it printed. Throws, with its errors, when it
   * fails.
   */
  rootling(args: readonly string[]): Promise<Record<string, unknown>>
  remove(): Promise<void>
}

export async function openWorld(): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'rootling-bench-'))
  const state = join(directory, 'state')
  const env = scrubbedEnvironment(directory, { ROOTLING_HOME: state })
  await certificateFor(['localhost'], { home: state })
  return {
    directory,
    state,
    env,
    async rootling(args) {
      const [program, script] = rootling
      const { exitCode, stdout, stderr } = await run(program, [script, ...args, '--json'], env)
      if (exitCode !== 0) throw new Error(`rootling ${args.join(' ')}: ${stderr}`)
      return JSON.parse(stdout) as Record<string, unknown>
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}
