import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'

/** How a program ended: with an exit code, by a signal, or not at all, since it was not started. */
export type ChildEnd =
  | { readonly code: number }
  | { readonly signal: NodeJS.Signals }
  | { readonly error: NodeJS.ErrnoException }

/**
 * Runs a program without a shell, with this process's standard streams and exactly this
 * environment, and passes on the signals that this process gets.
 */
export async function runChild(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<ChildEnd> {
  const waiting = new Map<NodeJS.Signals, () => void>()
  let child: ChildProcess | undefined
  for (const signal of signals) {
    const pass = (): void => {
      if (!reachesBoth(signal)) child?.kill(signal)
    }
    waiting.set(signal, pass)
    process.on(signal, pass)
  }
  try {
    if (process.platform === 'win32') return await runByExeca(program, args, env)
    child = spawn(program, args, { env, stdio: 'inherit' })
    return await ended(child)
  } catch (error) {
    return { error: error as NodeJS.ErrnoException }
  } finally {
    for (const [signal, pass] of waiting) process.off(signal, pass)
  }
}

/** The signals that end a program or mean something of its own to it. Windows knows few of them. */
const signals: readonly NodeJS.Signals[] =
  process.platform === 'win32'
    ? ['SIGINT', 'SIGBREAK', 'SIGHUP']
    : ['SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2']

/**
 * Whether the child gets this signal by itself: a terminal sends those of its keys to every process
 * in the foreground, and a second one makes many programs stop at once.
 */
function reachesBoth(signal: NodeJS.Signals): boolean {
  if (process.platform === 'win32') return true
  return (signal === 'SIGINT' || signal === 'SIGQUIT') && hasTerminal()
}

/** Whether a terminal controls this process, whatever its standard streams are. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return true
  } catch {
    return false
  }
}

/** Runs a program as `runChild` does on Windows: a .cmd, such as npm, is run by cmd, whose quotes execa knows. */
export async function runByExeca(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<ChildEnd> {
  const { execa } = await import('execa')
  const { exitCode, signal, cause } = await execa(program, args, {
    env,
    extendEnv: false,
    stdio: 'inherit',
    reject: false,
    windowsHide: false,
  })
  if (exitCode !== undefined) return { code: exitCode }
  return signal === undefined ? { error: cause as NodeJS.ErrnoException } : { signal }
}

const ended = (child: ChildProcess): Promise<ChildEnd> =>
  new Promise((resolve) => {
    child.once('error', (error) => resolve({ error }))
    child.once('exit', (code, signal) =>
      resolve(signal === null ? { code: code ?? 1 } : { signal }),
    )
  })
