import { execFileSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Benchmark, Row } from './benchmark.ts'
import { measureProcesses } from './processes.ts'
import { openWorld, rootling } from './world.ts'

/**
 * Measures the CPU time of commands of the single executable, beside those of the npm package in the
 * same release of Node and in the one that runs the benchmarks; and the executable's size.
 */
export const standalone: Benchmark = {
  name: 'standalone',
  async run({ quick }) {
    const world = await openWorld()
    try {
      const { env, directory } = world
      const build = ['scripts/standalone/build.mjs', '--out', directory]
      const program = lastLine(build)
      const sameNode = lastLine([
        '--input-type=module',
        '--eval',
        `const { nodeOf, ownTarget } = await import('${process.cwd()}/scripts/standalone/node.mjs')
        console.log(nodeOf(ownTarget).program)`,
      ])
      const [node, script] = rootling
      const kinds = { executable: [program], same: [sameNode, script], own: [node, script] }
      const commands: Record<string, Parameters<typeof measureProcesses>[0][string]> = {}
      for (const [kind, argv] of Object.entries(kinds)) {
        const cwd = join(directory, kind)
        await mkdir(cwd)
        commands[`${kind} version`] = { argv: [...argv, '--version'], cwd, env }
        commands[`${kind} issue`] = {
          argv: [...argv, 'issue', 'localhost'],
          cwd,
          env,
          empty: [cwd],
        }
      }
      const cost = await measureProcesses(commands, quick ? 5 : 60)
      const cpuOf = (name: string) => cost[name]?.cpu ?? Number.NaN
      const rows = (command: string, name: string): Row[] => [
        {
          name,
          unit: 'ms',
          ours: cpuOf(`executable ${command}`),
          peer: { name: 'npm package, same Node', value: cpuOf(`same ${command}`) },
          bar: { at: 'most', value: 1 },
        },
        {
          name,
          unit: 'ms',
          ours: cpuOf(`executable ${command}`),
          peer: { name: `npm package, Node ${process.version}`, value: cpuOf(`own ${command}`) },
          bar: null,
        },
      ]
      return [
        ...rows('version', 'executable, --version, CPU'),
        ...rows('issue', 'executable, issue, CPU'),
        {
          name: 'executable, size',
          unit: 'MiB',
          ours: statSync(program).size / 2 ** 20,
          peer: { name: 'node alone', value: statSync(sameNode).size / 2 ** 20 },
          bar: null,
        },
      ]
    } finally {
      await world.remove()
    }
  },
}

/** Runs this Node, and returns the last line that it prints. */
const lastLine = (args: readonly string[]): string =>
  execFileSync(process.execPath, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    .trimEnd()
    .split('\n')
    .at(-1) ?? ''
