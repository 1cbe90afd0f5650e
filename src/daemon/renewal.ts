import { setTimeout as sleep } from 'node:timers/promises'
import { renewable } from '../certificates/renew.ts'
import { dueTime } from '../certificates/status.ts'
import { exists } from '../files/exists.ts'
import { stampOf } from '../files/stamp.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { readCurrentInventory, recordPath } from '../storage/files/record.ts'
import { scopeNames } from '../storage/files/scopes.ts'
import type { CertificateRecord } from '../storage/records.ts'
import { renewDue } from './renew-due.ts'
import { openFailures, type Failures, type RenewalFailure } from './renewal-failures.ts'

export interface RenewalLoop {
  /** Renews the certificates that are due, as the timer does. Never rejects. */
  check(): Promise<void>
  /** Returns when the next certificate is due (ISO 8601); `null` when none is tracked. */
  nextDue(): string | null
  failures(): readonly RenewalFailure[]
  /** Ends the command that runs, and waits three seconds at most for the check that is under way. */
  stop(): Promise<void>
}

export interface RenewalOptions {
  readonly state: StateDirectory
  readonly now: () => Date
  readonly log: (line: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /**
   * The time between two readings of the clock: a long timer would not run while a laptop sleeps.
   */
  readonly checkMilliseconds?: number
  /** How long an `--on-renew` command may run. */
  readonly commandMilliseconds?: number
}

const minute = 60_000

/** How long a stop waits for a check: longer than a command has to end itself. */
const patienceMilliseconds = 3_000

/**
 * Renews every tracked certificate when it is due, and runs its command. Failures are tried again
 * after 1, 2, 4, … minutes, at most an hour.
 */
export async function startRenewal(options: RenewalOptions): Promise<RenewalLoop> {
  const { log } = options
  const stopping = new AbortController()
  const failures = await openFailures(options.state, options.now)
  const checker = await createChecker(options, failures, stopping.signal)
  let complaint = ''
  let running: Promise<void> | null = null

  async function checkOnce(): Promise<void> {
    try {
      await checker.check()
      complaint = ''
    } catch (error) {
      const said = `renewal: ${error instanceof Error ? error.message : String(error)}`
      // The same error is logged once, and not every minute.
      if (said !== complaint) log(said)
      complaint = said
    } finally {
      running = null
    }
  }

  async function check(): Promise<void> {
    if (stopping.signal.aborted) return
    running ??= checkOnce()
    await running
  }

  const timer = setInterval(() => void check(), options.checkMilliseconds ?? minute)
  timer.unref()
  return {
    check,
    nextDue: () => checker.nextDue(),
    failures: () => failures.list(),
    stop: async () => {
      clearInterval(timer)
      stopping.abort()
      // A renewal may wait for the lock for half a minute. The next command finishes what is
      // interrupted here, as after a kill.
      await Promise.race([running, sleep(patienceMilliseconds, null, { ref: false })])
    },
  }
}

interface Checker {
  /** Renews the certificates that are due, and notes when the next one is due. */
  check(): Promise<void>
  nextDue(): string | null
}

async function createChecker(
  options: RenewalOptions,
  failures: Failures,
  signal: AbortSignal,
): Promise<Checker> {
  const { state, now, log } = options
  const told = new Set<string>()
  const onDamage = (sentence: string): void => {
    if (!told.has(sentence)) log(`renewal: ${sentence}`)
    told.add(sentence)
  }
  const work = { ...options, failures, signal, onDamage }
  // The date is known from the start, for a daemon that is asked for its status at once.
  let nextDue = nextOf(await tracked(state, now(), onDamage), failures)
  let last = { version: '', at: now() }
  return {
    nextDue: () => nextDue,
    async check() {
      const version = await stampOf(recordPath(state))
      const at = now()
      const waiting = nextDue === null || Date.parse(nextDue) > at.getTime()
      if (waiting && version === last.version && at >= last.at) {
        last = { version, at }
        return
      }
      let certificates: readonly CertificateRecord[] | null = null
      try {
        certificates = await tracked(state, at, onDamage)
        await renewDue(work, certificates)
      } finally {
        last = { version: await stampOf(recordPath(state)), at }
        // The record may be long, so it is read again only if it has changed.
        const isSame = last.version === version
        const left =
          isSame && certificates !== null ? certificates : await tracked(state, at, onDamage)
        failures.keepOnly(left)
        nextDue = nextOf(left, failures)
        await failures.save()
      }
    },
  }
}

/**
 * Returns the certificates to renew. Those of a forgotten scope are left out, and those that have
 * ended and whose file is gone.
 */
async function tracked(
  state: StateDirectory,
  now: Date,
  onDamage: (sentence: string) => void,
): Promise<CertificateRecord[]> {
  const scopes = new Set(await scopeNames(state))
  const found: CertificateRecord[] = []
  const inventory = await readCurrentInventory(state, { printed: false, onDamage })
  for (const record of renewable(inventory)) {
    const ended = new Date(record.notAfter) < now
    if (ended && !(await exists(record.certPath ?? '').catch(() => true))) continue
    if (scopes.has(record.scope)) found.push(record)
  }
  return found
}

/** Returns when the first of these is due or tried again (ISO 8601); `null` when there is none. */
function nextOf(certificates: readonly CertificateRecord[], failures: Failures): string | null {
  const times = certificates.map((record) => {
    const retry = failures.of(record)?.nextAttempt
    return retry === undefined ? dueTime(record) : Date.parse(retry)
  })
  return times.length === 0 ? null : new Date(Math.ceil(Math.min(...times))).toISOString()
}
