import { join } from 'node:path'
import { writeFileAtomic } from '../files/atomic.ts'
import { readText } from '../files/read.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { longestRetryDelay, retryDelay } from '../retry-delay.ts'
import type { CertificateRecord } from '../storage/records.ts'
import { isObject } from './json-object.ts'

/**
 * A certificate that could not be renewed, or whose `--on-renew` command failed after the renewal.
 */
export interface RenewalFailure {
  readonly serialNumber: string
  readonly names: readonly string[]
  /** A sentence or two. */
  readonly reason: string
  /** What to type. */
  readonly hint?: string
  /** The `--on-renew` command, if the command is what failed. */
  readonly command?: string
  /** How many attempts in a row have failed. */
  readonly failures: number
  /** ISO 8601, UTC. */
  readonly nextAttempt: string
}

const fileOf = (state: StateDirectory): string => join(state.path, 'renewal.json')

/** Reads the failures of the daemon's last attempts; a damaged file counts as none. */
export async function readFailures(state: StateDirectory): Promise<RenewalFailure[]> {
  try {
    const value: unknown = JSON.parse((await readText(fileOf(state))) ?? '[]')
    return Array.isArray(value) ? value.filter(isFailure) : []
  } catch {
    return []
  }
}

function isFailure(value: unknown): value is RenewalFailure {
  return (
    isObject(value) &&
    typeof value['serialNumber'] === 'string' &&
    Array.isArray(value['names']) &&
    typeof value['reason'] === 'string' &&
    Number.isInteger(value['failures']) &&
    !Number.isNaN(Date.parse(String(value['nextAttempt'])))
  )
}

/**
 * The failures of certificates that are still tracked, and when each certificate is tried again.
 */
export interface Failures {
  list(): readonly RenewalFailure[]
  of(certificate: CertificateRecord): RenewalFailure | undefined
  /**
   * Whether the certificate may be tried: nothing failed, or the wait after the last failure is
   * over.
   */
  mayTry(certificate: CertificateRecord): boolean
  /** Counts another failure, and sets the next attempt. */
  add(certificate: CertificateRecord, cause: FailureCause): RenewalFailure
  delete(certificate: CertificateRecord): void
  /** Deletes the failures of all other certificates. */
  keepOnly(certificates: readonly CertificateRecord[]): void
  /** Writes the failures to their file if they have changed since the last call. */
  save(): Promise<void>
}

export interface FailureCause {
  readonly reason: string
  readonly hint?: string | undefined
  readonly command?: string
}

/** Opens the failures, beginning with those of the daemon's last run. */
export async function openFailures(state: StateDirectory, now: () => Date): Promise<Failures> {
  const failures = new Map<string, RenewalFailure>()
  for (const failure of await readFailures(state)) failures.set(failure.serialNumber, failure)
  const list = (): RenewalFailure[] => [...failures.values()]
  let saved = JSON.stringify(list())
  return {
    list,
    of: ({ serialNumber }) => failures.get(serialNumber),
    mayTry({ serialNumber }) {
      const next = Date.parse(failures.get(serialNumber)?.nextAttempt ?? '')
      const at = now().getTime()
      // An attempt further off than the longest wait means that the clock was set back.
      return Number.isNaN(next) || next <= at || next > at + longestRetryDelay
    },
    add({ serialNumber, identifiers }, { reason, hint, command }) {
      const count = (failures.get(serialNumber)?.failures ?? 0) + 1
      const failure = {
        serialNumber,
        names: identifiers.map(({ value }) => value),
        reason,
        ...(hint === undefined ? {} : { hint }),
        ...(command === undefined ? {} : { command }),
        failures: count,
        nextAttempt: new Date(now().getTime() + retryDelay(count)).toISOString(),
      }
      failures.set(serialNumber, failure)
      return failure
    },
    delete: ({ serialNumber }) => void failures.delete(serialNumber),
    keepOnly(certificates) {
      const kept = new Set(certificates.map(({ serialNumber }) => serialNumber))
      for (const serialNumber of failures.keys())
        if (!kept.has(serialNumber)) failures.delete(serialNumber)
    },
    async save() {
      const data = JSON.stringify(list())
      if (data === saved) return
      await writeFileAtomic(fileOf(state), { data, mode: 0o600 }, state.owner)
      saved = data
    },
  }
}

/** Describes a failure in one line, for people. */
export function describeFailure({ names, reason, hint, command }: RenewalFailure): string {
  const what = command === undefined ? 'could not be renewed' : 'was renewed, but'
  return `${names.join(', ')} ${what}: ${reason}${hint === undefined ? '' : ` → ${hint}`}`
}
