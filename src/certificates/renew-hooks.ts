import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Owner } from '../files/owner.ts'
import type { CertificateRecord } from '../storage/records.ts'

export interface HookOutcome {
  /** As the person wrote it for a shell. */
  readonly command: string
  /** What went wrong, such as `failed with exit code 1. …`; `null`: nothing. */
  readonly failure: string | null
}

export interface HookOptions {
  readonly env: Readonly<Record<string, string | undefined>>
  /** With sudo the person: the record is theirs, and whatever writes to it must not become root. */
  readonly owner?: Owner | null
  /** Ends the command that runs, and the others are not begun. */
  readonly signal?: AbortSignal
  readonly timeLimitMilliseconds?: number
}

/** Runs the `--on-renew` commands of renewed certificates, each once, one after the other. */
export async function runRenewHooks(
  renewed: readonly CertificateRecord[],
  options: HookOptions,
): Promise<HookOutcome[]> {
  const outcomes: HookOutcome[] = []
  for (const command of new Set(renewed.flatMap(({ onRenew }) => onRenew ?? []))) {
    const failure =
      options.signal?.aborted === true ? 'was not run.' : await runHook(command, options)
    outcomes.push({ command, failure })
  }
  return outcomes
}

const minute = 60_000

async function runHook(
  command: string,
  { env, owner, signal, timeLimitMilliseconds = minute }: HookOptions,
): Promise<string | null> {
  // The one shell string that is run: the person's own, kept in a file of theirs with mode 0600.
  const child = spawn(command, {
    shell: true,
    cwd: '/',
    env,
    // At the head of a group, so that its children end with it.
    detached: process.platform !== 'win32',
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

async function endGroup(child: ChildProcess): Promise<void> {
  const kill = (signal: NodeJS.Signals): void => {
    try {
      if (process.platform === 'win32' || child.pid === undefined) child.kill(signal)
      else process.kill(-child.pid, signal)
    } catch {
      // Nobody of the group is left.
    }
  }
  kill('SIGTERM')
  await sleep(2_000)
  kill('SIGKILL')
}

const longestTail = 500
const keptText = 64 * 1024

/** The end of what it writes to standard error, once that ends or half a second has passed. */
function tailOf({ stderr }: ChildProcess): () => Promise<string> {
  let text = ''
  stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-keptText)
  })
  const ended = stderr === null ? null : once(stderr, 'close').catch(() => undefined)
  return async () => {
    // What it left in the background may hold the pipe for as long as it likes.
    await Promise.race([ended, sleep(500)])
    return withoutKeys(text).trim().slice(-longestTail)
  }
}

/** A private key's PEM, whole or begun before the text does, stands in no log. */
function withoutKeys(text: string): string {
  const begun = /^(?:(?!-----BEGIN)[\s\S])*-----END [A-Z ]*PRIVATE KEY-----/
  const block = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*-----|$)/g
  return text.replace(begun, '(a private key)').replace(block, '(a private key)')
}
