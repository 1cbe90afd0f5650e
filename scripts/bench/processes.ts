import { join } from 'node:path'
import { run, type Finished } from '../../test/helpers/subprocess.ts'
import { median } from './benchmark.ts'

/** A program to measure from its start to its end, with all its children. */
export interface Command {
  readonly argv: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** Directories that are emptied before each run. */
  readonly empty?: readonly string[]
}

/** The median CPU time and wall time of a command, in milliseconds, and its peak memory in MiB. */
export interface Cost {
  readonly cpu: number
  readonly wall: number
  readonly memory: number
}

type Sample = [cpu: number, wall: number, code: number, memory: number]

/** Runs a program with text on its standard input. */
type Runner = (program: string, args: readonly string[], input: string) => Promise<Finished>

const runHere: Runner = (program, args, input) => run(program, args, {}, { input, timeout })
export const timeout = 600_000
const script = join(process.cwd(), 'scripts/bench/rusage.py')

/**
 * Runs all commands in turn, `rounds` times, and returns the medians of each. Throws when a command
 * fails, because a command that fails early looks fast.
 */
export async function measureProcesses<Name extends string>(
  commands: Readonly<Record<Name, Command>>,
  rounds: number,
  runner: Runner = runHere,
): Promise<Record<Name, Cost>> {
  const input = JSON.stringify({ commands, rounds })
  const { exitCode, stdout, stderr } = await runner('/usr/bin/python3', [script], input)
  if (exitCode !== 0) throw new Error(`rusage.py: ${stderr}`)
  const samples = JSON.parse(stdout) as Record<Name, Sample[]>
  const costs = (Object.entries(samples) as [Name, Sample[]][]).map(([name, runs]) => {
    const failed = runs.find(([, , code]) => code !== 0)
    if (failed !== undefined) throw new Error(`${name} exited with ${failed[2]}`)
    const cpu = median(runs.map(([time]) => time))
    const wall = median(runs.map(([, time]) => time))
    return [name, { cpu, wall, memory: median(runs.map(([, , , octets]) => octets)) / 1024 }]
  })
  return Object.fromEntries(costs) as Record<Name, Cost>
}
