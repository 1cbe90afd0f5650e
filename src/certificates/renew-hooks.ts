import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Owner } from '../files/owner.ts'
import type { CertificateRecord } from '../storage/records.ts'

export interface HookOutcome {
  /** The shell command, as given to `--on-renew`. */
  readonly command: string
  /** What went wrong, such as `failed with exit code 1. …`; `null`: it succeeded. */
  readonly failure: string | null
}

export interface HookOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /**
   * Who runs the commands: with sudo, the user who called sudo. That user can write to the record,
   * and must not become root by a command in it.
   */
  readonly owner: Owner | null
  /** Ends the command that runs; the others are not started. */
  readonly signal?: AbortSignal
  /** Default: what the certificates' records say, or a minute. */
  readonly timeLimitMilliseconds?: number
}

/** Runs the `--on-renew` commands of renewed certificates, each once, one after the other. */
export async function runRenewHooks(
  renewed: readonly CertificateRecord[],
  options: HookOptions,
): Promise<HookOutcome[]> {
  const outcomes: HookOutcome[] = []
  for (const command of new Set(renewed.flatMap(({ onRenew }) => onRenew ?? []))) {
    const limits = renewed
      .filter(({ onRenew }) => onRenew === command)
      .map(({ onRenewSeconds = 60 }) => onRenewSeconds * 1_000)
    const { timeLimitMilliseconds = Math.max(...limits) } = options
    const failure =
      options.signal?.aborted === true
        ? 'was not run.'
        : await runHook(command, { ...options, timeLimitMilliseconds })
    outcomes.push({ command, failure })
  }
  return outcomes
}

async function runHook(
  command: string,
  {
    env,
    owner,
    signal,
    timeLimitMilliseconds,
  }: HookOptions & { readonly timeLimitMilliseconds: number },
): Promise<string | null> {
  const child = startShell(command, timeLimitMilliseconds, {
    cwd: '/',
    env,
    windowsHide: true,
    stdio: ['ignore', 'ignore', 'pipe'],
    ...owner,
  })
  const said = tailOf(child)
  let stopped: string | null = null
  const stop = (why: string): void => {
    stopped = why
    void endGroup(child)
  }
  const seconds = timeLimitMilliseconds / 1000
  const late = setTimeout(
    () => stop(`was stopped after ${seconds} seconds.`),
    timeLimitMilliseconds,
  )
  const abort = (): void => stop('was stopped with the daemon.')
  signal?.addEventListener('abort', abort)
  try {
    const [exitCode, killedBy] = (await once(child, 'exit')) as [number | null, string | null]
    if (exitCode === 0 && stopped === null) return null
    const how = exitCode === null ? `was ended by ${killedBy}` : `failed with exit code ${exitCode}`
    return `${stopped ?? `${how}.`} ${await said()}`.trim()
  } catch (error) {
    return `could not be started: ${error instanceof Error ? error.message : String(error)}.`
  } finally {
    clearTimeout(late)
    signal?.removeEventListener('abort', abort)
  }
}

/**
 * Starts a command in a shell that leads a process group, so that the command's children can be
 * ended with it. A watchdog in the same group ends the group two seconds after the time limit, in
 * case Rootling itself is gone and cannot, as after Ctrl-C or kill -9. The watchdog ends within a
 * second of the command. Windows has no process groups, and no watchdog.
 */
function startShell(
  command: string,
  timeLimitMilliseconds: number,
  options: SpawnOptions,
): ChildProcess {
  // The command is the only shell text that is run: the user's own, from a file of the user's with
  // mode 0600.
  if (process.platform === 'win32') return spawn(command, { ...options, shell: true })
  const seconds = String(Math.ceil(timeLimitMilliseconds / 1000) + 2)
  const args = ['-c', guarded, 'sh', command, seconds, hookUmask()]
  return spawn('/bin/sh', args, { ...options, detached: true })
}

/**
 * Starts the watchdog, then becomes the command's shell. The watchdog is no child of that shell,
 * which could wait for it, and holds none of its files open.
 */
const guarded = `umask "$3"
(
  (
    trap '' TERM
    left=$2
    while [ "$left" -gt 0 ]; do
      sleep 1 || exit
      kill -0 $$ || exit
      left=$((left - 1))
    done
    kill -TERM -$$
    sleep 2
    kill -KILL -$$
  ) >/dev/null 2>&1 &
)
exec /bin/sh -c "$1"`

/**
 * Returns the umask of this process or, where it lets everybody write, 077: a daemon may start with
 * 000.
 */
function hookUmask(): string {
  const inherited = process.umask()
  return ((inherited & 0o002) === 0 ? 0o077 : inherited).toString(8).padStart(3, '0')
}

async function endGroup(child: ChildProcess): Promise<void> {
  const kill = (signal: NodeJS.Signals): void => {
    try {
      if (process.platform === 'win32' || child.pid === undefined) child.kill(signal)
      else process.kill(-child.pid, signal)
    } catch {
      // No process of the group is left.
    }
  }
  kill('SIGTERM')
  await sleep(2_000)
  kill('SIGKILL')
}

const longestTail = 500
const keptText = 64 * 1024

/**
 * Collects what a command writes to standard error. The returned function resolves to the end of
 * it, once standard error is closed or half a second has passed.
 */
function tailOf({ stderr }: ChildProcess): () => Promise<string> {
  let text = ''
  stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-keptText)
  })
  const ended = stderr === null ? null : once(stderr, 'close').catch(() => undefined)
  return async () => {
    // A process that the command left in the background may keep the pipe open for ever.
    await Promise.race([ended, sleep(500)])
    return withoutKeys(text).trim().slice(-longestTail)
  }
}

/**
 * Replaces private keys in PEM, since the text may get into a log. Replaces also a key whose BEGIN
 * line was cut off already.
 */
function withoutKeys(text: string): string {
  const begun = /^(?:(?!-----BEGIN)[\s\S])*-----END [A-Z ]*PRIVATE KEY-----/
  const block = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*-----|$)/g
  return text.replace(begun, '(a private key)').replace(block, '(a private key)')
}
