import type { Benchmark, Row } from './benchmark.ts'
import { measureProcesses } from './processes.ts'
import { openWorld, rootling } from './world.ts'

/** Measures what `rootling run` adds to the time of its child. */
export const runChild: Benchmark = {
  name: 'run',
  async run({ quick }) {
    const world = await openWorld()
    try {
      const { env, directory } = world
      const child = [process.execPath, '-e', '0']
      const command = (...argv: string[]) => ({ argv, cwd: directory, env })
      // The files that the variables name are made in a first run.
      await measureProcesses({ run: command(...rootling, 'run', '--', ...child) }, 1)
      const cost = await measureProcesses(
        { alone: command(...child), run: command(...rootling, 'run', '--', ...child) },
        quick ? 5 : 60,
      )
      const rows = (['cpu', 'wall'] as const).map((time): Row => ({
        name: `run, beside its child, ${time === 'cpu' ? 'CPU' : 'wall time'}`,
        unit: 'ms',
        ours: cost.run[time] - cost.alone[time],
        peer: null,
        // The wall time is that of the whole machine, which other programs use too.
        bar: time === 'cpu' ? { at: 'most', value: 60 } : null,
      }))
      const whole: Row = {
        name: 'run -- node -e 0, CPU',
        unit: 'ms',
        ours: cost.run.cpu,
        peer: { name: 'node -e 0', value: cost.alone.cpu },
        bar: null,
      }
      return [...rows, whole]
    } finally {
      await world.remove()
    }
  },
}
