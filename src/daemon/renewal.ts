import { setTimeout as sleep } from 'node:timers/promises'
import { dueTime } from '../certificates/status.ts'
import { exists } from '../files/exists.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { certificatesOf } from '../storage/files/certificates.ts'
import { compactWhereWorthwhile } from '../storage/files/compact.ts'
import { scopeNames } from '../storage/files/scopes.ts'
import type { CertificateRecord } from '../storage/records.ts'
import type { CertificateReader } from '../storage/storage.ts'
import { day } from '../x509/profiles.ts'
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
  const certificates = certificatesOf(state, { onDamage })
  /** Finds what is to be done now. */
  const look = (at: Date): Promise<Tracked> => tracked(state, certificates, failures, at)
  // The date is known from the start, for a daemon that is asked for its status at once.
  let nextDue = nextOf(await look(now()), failures)
  let last = { version: '', at: now() }
  let tidied = -Infinity
  /** Once a day, drops from the record what ended long ago. */
  const tidy = async (at: Date): Promise<void> => {
    if (Math.abs(at.getTime() - tidied) < day) return
    tidied = at.getTime()
    await compactWhereWorthwhile(state, at)
  }
  return {
    nextDue: () => nextDue,
    async check() {
      // What is wrong with the record, the check itself says.
      await tidy(now()).catch(() => undefined)
      const version = await certificates.version()
      const at = now()
      const waiting = nextDue === null || Date.parse(nextDue) > at.getTime()
      if (waiting && version === last.version && at >= last.at) {
        last = { version, at }
        return
      }
      try {
        await renewDue(work, (await look(at)).candidates)
      } finally {
        last = { version: await certificates.version(), at }
        const left = await look(at)
        failures.keepOnly(left.candidates)
        nextDue = nextOf(left, failures)
        await failures.save()
      }
    },
  }
}

/** What the renewal loop has to do. */
interface Tracked {
  /** The certificates that are due, and those for which something failed before. */
  readonly candidates: readonly CertificateRecord[]
  /** When the first of all others is due (milliseconds); `null`: there is no other. */
  readonly next: number | null
}

/**
 * Finds the certificates to renew. Those of a forgotten scope are left out, and those that have
 * ended and whose file is gone.
 */
async function tracked(
  state: StateDirectory,
  certificates: CertificateReader,
  failures: Failures,
  now: Date,
): Promise<Tracked> {
  const scopes = await scopeNames(state)
  const also = failures.list().map(({ serialNumber }) => serialNumber)
  const { entries, next } = await certificates.due(now, { scopes, also })
  const candidates: CertificateRecord[] = []
  for (const { certificate } of entries) {
    const ended = new Date(certificate.notAfter) < now
    const isGone = ended && !(await exists(certificate.certPath ?? '').catch(() => true))
    if (!isGone) candidates.push(certificate)
  }
  return { candidates, next }
}

/** Returns when the first of these is due or tried again (ISO 8601); `null` when there is none. */
function nextOf({ candidates, next }: Tracked, failures: Failures): string | null {
  const times = candidates.map((record) => {
    const retry = failures.of(record)?.nextAttempt
    return retry === undefined ? dueTime(record) : Date.parse(retry)
  })
  const first = times.reduce((least, time) => Math.min(least, time), next ?? Infinity)
  return first === Infinity ? null : new Date(Math.ceil(first)).toISOString()
}
