import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Benchmark, Row } from './benchmark.ts'
import { measureProcesses, type Cost } from './processes.ts'
import { openWorld, rootling } from './world.ts'

const names = ['localhost', '127.0.0.1', '::1']

/**
 * Measures the CPU time of whole commands: issuing into an empty directory, --version and --help.
 */
export const startUp: Benchmark = {
  name: 'start-up',
  async run({ quick }) {
    const world = await openWorld()
    try {
      const { env, directory } = world
      const [ours, theirs] = [join(directory, 'ours'), join(directory, 'theirs')]
      await Promise.all([ours, theirs].map((each) => mkdir(each)))
      const mkcert = (...flags: string[]) => ({
        argv: ['/usr/bin/mkcert', ...flags, ...names],
        cwd: theirs,
        env,
        empty: [theirs],
      })
      const own = (...args: string[]) => ({ argv: [...rootling, ...args], cwd: directory, env })
      const commands = {
        node: { argv: [process.execPath, '-e', '0'], cwd: directory, env },
        issue: { ...own('issue', ...names), cwd: ours, empty: [ours] },
        mkcert: mkcert(),
        mkcertEcdsa: mkcert('-ecdsa'),
        version: own('--version'),
        help: own('--help'),
      }
      // mkcert creates its authority in its first run, so that run is not measured.
      await measureProcesses({ mkcert: commands.mkcert }, 1)
      const cost = await measureProcesses(commands, quick ? 5 : 60)
      const row = (name: string, mine: Cost, peer: [string, Cost], value: number): Row => ({
        name,
        unit: 'ms',
        ours: mine.cpu,
        peer: { name: peer[0], value: peer[1].cpu },
        bar: { at: 'most', value },
      })
      return [
        row('issue, CPU', cost.issue, ['mkcert', cost.mkcert], 0.3),
        row('issue, CPU', cost.issue, ['mkcert -ecdsa', cost.mkcertEcdsa], 2.5),
        row('issue, CPU', cost.issue, ['node -e 0', cost.node], 2.2),
        row('--version, CPU', cost.version, ['node -e 0', cost.node], 1.25),
        row('--help, CPU', cost.help, ['node -e 0', cost.node], 4),
      ]
    } finally {
      await world.remove()
    }
  },
}
