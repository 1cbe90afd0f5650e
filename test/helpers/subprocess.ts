import { spawn } from 'node:child_process'
import type { ChildProcess, ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'

/**
 * The exit code and output of a finished program. A program that a signal killed has `exitCode:
 * null`.
 */
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

/**
 * Starts a program as the leader of its own process group, so that `killGroup` also ends its
 * children.
 */
export function start(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): ChildProcessWithoutNullStreams {
  const child = spawn(program, args, { env, stdio: 'pipe', detached: true })
  // A program that ends before it has read its input must not end the test run.
  child.stdin.on('error', () => {})
  return child
}

/** Kills a program that `start` started, with all its children. Does nothing when it has ended. */
export function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // No process of the group is left.
  }
}

/**
 * Asks a program that `start` started to end, and resolves when it has; it may have ended before. After
 * two minutes, kills it with all its children.
 */
export async function terminate(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  child.kill('SIGTERM')
  const late = setTimeout(() => killGroup(child), 120_000)
  await closed
  clearTimeout(late)
}

/**
 * Runs a program to its end. Throws when it cannot start, or runs longer than `timeout`
 * milliseconds, by default ten minutes.
 */
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

/**
 * Waits until `probe` returns something other than `null`, and returns it. Throws after `timeout`
 * milliseconds.
 */
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
