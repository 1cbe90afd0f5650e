import { join } from 'node:path'
import { runRenewHooks } from '../on-renew.ts'
import type { StateDirectory } from '../paths.ts'
import { renew, type Renewal } from '../renew.ts'
import { currentCertificates, dueTime } from '../standing.ts'
import {
  readCurrentInventory,
  recordPath,
  type CertificateRecord,
} from '../storage/certificate-store.ts'
import { readText, stampOf, writeFileAtomic } from '../storage/files.ts'

/** A certificate that could not be renewed. */
export interface RenewalFailure {
  readonly serialNumber: string
  readonly names: readonly string[]
  readonly reason: string
  readonly failures: number
  /** ISO 8601, UTC. */
  readonly nextAttempt: string
}

export interface RenewalLoop {
  /** What the timer does. Never rejects. */
  check(): Promise<void>
  /** When the next certificate is due, ISO 8601; `null`: none is tracked. */
  nextDue(): string | null
  failures(): readonly RenewalFailure[]
  stop(): void
}

export interface RenewalOptions {
  readonly state: StateDirectory
  readonly now: () => Date
  readonly log: (line: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /** How often the wall clock is read, since a long timer stands still while a laptop sleeps. */
  readonly checkMilliseconds?: number
}

const minute = 60_000
const hour = 60 * minute
const fileOf = (state: StateDirectory): string => join(state.path, 'renewal.json')

/** What could not be renewed when the daemon last tried; a damaged file counts as none. */
async function readFailures(state: StateDirectory): Promise<RenewalFailure[]> {
  try {
    const value: unknown = JSON.parse((await readText(fileOf(state), 16 * 1024 * 1024)) ?? '[]')
    return Array.isArray(value) ? (value as RenewalFailure[]) : []
  } catch {
    return []
  }
}

/**
 * Renews every tracked certificate when it is due, and runs its command. One that fails is tried
 * again after 1, 2, 4, … minutes, at most an hour.
 */
export async function startRenewal(options: RenewalOptions): Promise<RenewalLoop> {
  const { state, now, log } = options
  const failures = new Map<string, RenewalFailure>()
  for (const failure of await readFailures(state)) failures.set(failure.serialNumber, failure)
  // Known from the start: a daemon that has just started tells it too.
  const { certificates } = await readCurrentInventory(state)
  let nextDue = nextOf(currentCertificates(certificates), failures)
  let seen = ''
  let running: Promise<void> | null = null
  let stopped = false

  const mayTry = async ({ serialNumber }: CertificateRecord): Promise<boolean> => {
    const next = Date.parse(failures.get(serialNumber)?.nextAttempt ?? '')
    const at = now().getTime()
    // An attempt further off than an hour means that the clock was set back.
    return Number.isNaN(next) || next <= at || next > at + hour
  }

  async function renewDue(): Promise<void> {
    const version = await stampOf(recordPath(state))
    const waiting = nextDue === null || Date.parse(nextDue) > now().getTime()
    if (version === seen && waiting) return
    const renewals = await renew(state, { which: 'due' }, { only: mayTry }, now())
    await settle(renewals)
    seen = await stampOf(recordPath(state))
    const { certificates } = await readCurrentInventory(state)
    nextDue = nextOf(currentCertificates(certificates), failures)
  }

  async function settle(renewals: readonly Renewal[]): Promise<void> {
    for (const { previous, outcome, record, reason = '' } of renewals) {
      const names = previous.identifiers.map(({ value }) => value)
      if (outcome === 'renewed') {
        failures.delete(previous.serialNumber)
        log(`renewed ${names.join(', ')} until ${record?.notAfter} in ${previous.certPath}`)
      } else {
        const count = (failures.get(previous.serialNumber)?.failures ?? 0) + 1
        const wait = Math.min(minute * 2 ** (count - 1), hour)
        const nextAttempt = new Date(now().getTime() + wait).toISOString()
        const { serialNumber } = previous
        failures.set(serialNumber, { serialNumber, names, reason, failures: count, nextAttempt })
        log(`could not renew ${names.join(', ')}: ${reason} Next try ${nextAttempt}`)
      }
    }
    if (renewals.length === 0) return
    const renewed = renewals.flatMap(({ record }) => record ?? [])
    for (const { command, exitCode, stderr } of await runRenewHooks(
      renewed,
      options.env,
      state.owner,
    ))
      log(
        exitCode === 0
          ? `ran ${command}`
          : `${command} failed with exit code ${exitCode} ${stderr}`,
      )
    const data = JSON.stringify([...failures.values()])
    await writeFileAtomic(fileOf(state), { data, mode: 0o600 }, state.owner)
  }

  async function check(): Promise<void> {
    if (stopped) return
    running ??= renewDue()
      .catch((error: unknown) =>
        log(`renewal: ${error instanceof Error ? error.message : String(error)}`),
      )
      .finally(() => (running = null))
    await running
  }

  const timer = setInterval(() => void check(), options.checkMilliseconds ?? minute)
  timer.unref()
  return {
    check,
    nextDue: () => nextDue,
    failures: () => [...failures.values()],
    stop: () => {
      stopped = true
      clearInterval(timer)
    },
  }
}

function nextOf(
  tracked: readonly CertificateRecord[],
  failures: ReadonlyMap<string, RenewalFailure>,
): string | null {
  const times = tracked
    .filter(({ certPath }) => certPath !== null)
    .map((record) => {
      const retry = failures.get(record.serialNumber)?.nextAttempt
      return retry === undefined ? dueTime(record) : Date.parse(retry)
    })
  return times.length === 0 ? null : new Date(Math.min(...times)).toISOString()
}
