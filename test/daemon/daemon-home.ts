import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, onTestFinished } from 'vitest'
import { ensureBuilt } from '../helpers/built.ts'
import { openHome, type Home } from '../helpers/home.ts'
import { waitFor, type Finished, type RunOptions } from '../helpers/subprocess.ts'

// A build takes longer than a test may.
beforeAll(ensureBuilt)

/** Only the control socket and the renewal: no port is taken. */
export const noPorts = ['--acme-port=0', '--revocation-port=0']

export interface DaemonHome extends Home {
  /** The state directory. */
  readonly state: string
  /** `rootling daemon …`. */
  readonly daemon: (args: readonly string[], options?: RunOptions) => Promise<Finished>
  /** What `daemon status --json` says, with the exit code. */
  readonly status: () => Promise<Record<string, unknown>>
  /** The run file; throws where there is none. */
  readonly runFile: () => { address: string; token: string; pid: number; since: string }
  /** The ids of this home's daemons. */
  readonly daemons: () => number[]
  readonly log: () => string
}

/** A home with an authority; whatever daemon a test leaves in it is killed. */
export async function openDaemonHome(): Promise<DaemonHome> {
  const home = openHome()
  const state = join(home.directory, 'state')
  const daemons = () => processesIn(home.directory)
  onTestFinished(async () => {
    for (const pid of daemons()) process.kill(pid, 'SIGKILL')
    await waitFor('the end of the daemons', () => (daemons().length === 0 ? true : null))
  })
  await home.createAuthority()
  return {
    ...home,
    state,
    daemons,
    daemon: (args, options) => home.rootling(['daemon', ...args], options),
    status: async () => {
      const { exitCode, value } = await home.json(['daemon', 'status'])
      return { exitCode, ...value }
    },
    runFile: () =>
      JSON.parse(readFileSync(join(state, 'daemon-run.json'), 'utf8')) as ReturnType<
        DaemonHome['runFile']
      >,
    log: () => readFileSync(join(state, 'daemon.log'), 'utf8'),
  }
}

/** Those that run `daemon run` with something of this directory in their environment. */
function processesIn(directory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8')
        const environment = readFileSync(`/proc/${pid}/environ`, 'utf8')
        return words.includes('\0daemon\0run\0') && environment.includes(directory)
      } catch {
        return false
      }
    })
    .map(Number)
}

/** Whether a process is there; one that ended and was not waited for is not. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
