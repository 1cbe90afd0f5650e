import { spawn } from 'node:child_process'
import type { ChildProcess, ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'

/** What a finished program left; a program killed by a signal has `exitCode: null`. */
export interface Finished {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** How to start a program: `input` goes to its standard input, `timeout` is in milliseconds. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
  readonly timeout?: number
}

/** Starts a program at the head of its own process group, so that `killGroup` ends its children. */
export function start(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): ChildProcessWithoutNullStreams {
  const child = spawn(program, args, { env, stdio: 'pipe', detached: true })
  // A program that ends before it has read its input is no reason to end the test run.
  child.stdin.on('error', () => {})
  return child
}

/** Kills a program of `start` with all its children; one that has ended is left alone. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // Nobody of the group is left.
  }
}

/** Asks a program of `start` to end, and resolves when it has; kills it with all its children after two minutes. */
export async function terminate(child: ChildProcess): Promise<void> {
  const closed = once(child, 'close')
  child.kill('SIGTERM')
  const late = setTimeout(() => killGroup(child), 120_000)
  await closed
  clearTimeout(late)
}

/** Runs a program to its end, ten minutes at most; throws where it cannot start or runs longer. */
export async function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  { input = '', timeout = 600_000 }: Omit<RunOptions, 'env'> = {},
): Promise<Finished> {
  const child = start(program, args, env)
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text))
  }
  let late = false
  const timer = setTimeout(() => {
    late = true
    killGroup(child)
  }, timeout)
  try {
    child.stdin.end(input)
    const [exitCode] = (await once(child, 'close')) as [number | null]
    if (late) throw new Error(`${program} ${args.join(' ')} ran for more than ${timeout} ms`)
    return { exitCode, ...output }
  } finally {
    clearTimeout(timer)
  }
}

/** Waits until `probe` gives something other than `null`; throws after `timeout` milliseconds. */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | null> | T | null,
  timeout = 300_000,
): Promise<T> {
  const deadline = Date.now() + timeout
  for (;;) {
    const found = await probe()
    if (found !== null) return found
    if (Date.now() > deadline) throw new Error(`waited ${timeout} ms in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
