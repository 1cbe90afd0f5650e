import { runRenewHooks } from '../certificates/renew-hooks.ts'
import { newlyMade, renew, renewable, type Renewal } from '../certificates/renew.ts'
import { dueTime, isDue } from '../certificates/status.ts'
import { exists } from '../files/exists.ts'
import { stampOf } from '../files/stamp.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { longestRetryDelay, retryDelay } from '../retry-delay.ts'
import { readCurrentInventory, recordPath } from '../storage/files/record.ts'
import { scopeNames } from '../storage/files/scopes.ts'
import type { CertificateRecord } from '../storage/records.ts'
import { readFailures, writeFailures, type RenewalFailure } from './renewal-failures.ts'

export interface RenewalLoop {
  /** What the timer does. Never rejects. */
  check(): Promise<void>
  /** When the next certificate is due, ISO 8601; `null`: none is tracked. */
  nextDue(): string | null
  failures(): readonly RenewalFailure[]
  /** Ends a command that runs, and waits for what is being written. */
  stop(): Promise<void>
}

export interface RenewalOptions {
  readonly state: StateDirectory
  readonly now: () => Date
  readonly log: (line: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /** How often the wall clock is read, since a long timer stands still while a laptop sleeps. */
  readonly checkMilliseconds?: number
  /** How long an `--on-renew` command may run. */
  readonly commandMilliseconds?: number
}

const minute = 60_000

/**
 * Renews every tracked certificate when it is due, and runs its command. What fails is tried
 * again after 1, 2, 4, … minutes, at most an hour.
 */
export async function startRenewal(options: RenewalOptions): Promise<RenewalLoop> {
  const { state, now, log, env } = options
  const failures = new Map<string, RenewalFailure>()
  for (const failure of await readFailures(state)) failures.set(failure.serialNumber, failure)
  // Known from the start: a daemon that has just started tells it too.
  let nextDue = nextOf(await tracked(state, now()), failures)
  let last = { version: '', at: now() }
  let complaint = ''
  let running: Promise<void> | null = null
  const stopping = new AbortController()

  const mayTry = ({ serialNumber }: CertificateRecord): boolean => {
    const next = Date.parse(failures.get(serialNumber)?.nextAttempt ?? '')
    const at = now().getTime()
    // An attempt further off than an hour means that the clock was set back.
    return Number.isNaN(next) || next <= at || next > at + longestRetryDelay
  }

  async function checkOnce(): Promise<void> {
    const version = await stampOf(recordPath(state))
    const at = now()
    const waiting = nextDue === null || Date.parse(nextDue) > at.getTime()
    if (waiting && version === last.version && at >= last.at) {
      last = { version, at }
      return
    }
    const before = JSON.stringify([...failures.values()])
    let certificates: readonly CertificateRecord[] | null = null
    try {
      certificates = await tracked(state, at)
      await renewDue(certificates)
    } finally {
      last = { version: await stampOf(recordPath(state)), at }
      // An old record is long: it is read again only where it has changed.
      const isSame = last.version === version
      const left = isSame && certificates !== null ? certificates : await tracked(state, at)
      forget(left)
      nextDue = nextOf(left, failures)
      const after = [...failures.values()]
      if (JSON.stringify(after) !== before) await writeFailures(state, after)
    }
  }

  /** What was revoked, forgotten, or renewed by something else fails no more. */
  function forget(left: readonly CertificateRecord[]): void {
    const serialNumbers = new Set(left.map(({ serialNumber }) => serialNumber))
    for (const key of failures.keys()) if (!serialNumbers.has(key)) failures.delete(key)
  }

  async function renewDue(certificates: readonly CertificateRecord[]): Promise<void> {
    const wanted = new Set(certificates.filter(mayTry).map(({ serialNumber }) => serialNumber))
    const only = async ({ serialNumber }: CertificateRecord): Promise<boolean> =>
      !stopping.signal.aborted && wanted.has(serialNumber)
    const at = now()
    const isDueOne = (record: CertificateRecord): boolean =>
      wanted.has(record.serialNumber) && isDue(record, at)
    const renewals = certificates.some(isDueOne)
      ? await renew(state, { which: 'due' }, { only }, at)
      : []
    for (const renewal of renewals) settle(renewal)
    const again = certificates.filter(
      ({ serialNumber }) =>
        wanted.has(serialNumber) && failures.get(serialNumber)?.command !== undefined,
    )
    await runCommands([...newlyMade(renewals), ...again])
  }

  function settle({ previous, outcome, record, reason = '', hint }: Renewal): void {
    if (record === undefined)
      return fail(previous, `could not renew ${textOf(previous)}:`, reason, { hint })
    failures.delete(previous.serialNumber)
    if (outcome === 'renewed')
      log(`renewed ${textOf(previous)} until ${record.notAfter} in ${previous.certPath}`)
  }

  async function runCommands(certificates: readonly CertificateRecord[]): Promise<void> {
    const outcomes = await runRenewHooks(certificates, {
      env,
      owner: state.owner,
      signal: stopping.signal,
      ...(options.commandMilliseconds === undefined
        ? {}
        : { timeLimitMilliseconds: options.commandMilliseconds }),
    })
    for (const { command, failure } of outcomes) {
      if (failure === null) log(`ran ${command}`)
      for (const record of certificates) {
        if (record.onRenew !== command) continue
        if (failure === null) failures.delete(record.serialNumber)
        else fail(record, `for ${textOf(record)}:`, `${command} ${failure}`, { command })
      }
    }
  }

  function fail(
    { serialNumber, identifiers }: CertificateRecord,
    what: string,
    reason: string,
    more: { readonly hint?: string | undefined; readonly command?: string },
  ): void {
    const count = (failures.get(serialNumber)?.failures ?? 0) + 1
    const nextAttempt = new Date(now().getTime() + retryDelay(count)).toISOString()
    const names = identifiers.map(({ value }) => value)
    const { hint, command } = more
    failures.set(serialNumber, {
      serialNumber,
      names,
      reason,
      ...(hint === undefined ? {} : { hint }),
      ...(command === undefined ? {} : { command }),
      failures: count,
      nextAttempt,
    })
    log(`${what} ${reason} Next try ${nextAttempt}`)
  }

  async function check(): Promise<void> {
    if (stopping.signal.aborted) return
    running ??= checkOnce()
      .then(
        () => (complaint = ''),
        (error: unknown) => {
          const said = `renewal: ${error instanceof Error ? error.message : String(error)}`
          // Said once, and not every minute.
          if (said !== complaint) log(said)
          complaint = said
        },
      )
      .then(() => undefined)
      .finally(() => (running = null))
    await running
  }

  const timer = setInterval(() => void check(), options.checkMilliseconds ?? minute)
  timer.unref()
  return {
    check,
    nextDue: () => nextDue,
    failures: () => [...failures.values()],
    stop: async () => {
      clearInterval(timer)
      stopping.abort()
      await running
    },
  }
}

const textOf = ({ identifiers }: CertificateRecord): string =>
  identifiers.map(({ value }) => value).join(', ')

/** What the loop cares for: no forgotten scope's, and of those that ended only what has its file. */
async function tracked(state: StateDirectory, now: Date): Promise<CertificateRecord[]> {
  const scopes = new Set(await scopeNames(state))
  const found: CertificateRecord[] = []
  for (const record of renewable(await readCurrentInventory(state, { printed: false }))) {
    const ended = new Date(record.notAfter) < now
    if (ended && !(await exists(record.certPath ?? '').catch(() => true))) continue
    if (scopes.has(record.scope)) found.push(record)
  }
  return found
}

function nextOf(
  certificates: readonly CertificateRecord[],
  failures: ReadonlyMap<string, RenewalFailure>,
): string | null {
  const times = certificates.map((record) => {
    const retry = failures.get(record.serialNumber)?.nextAttempt
    return retry === undefined ? dueTime(record) : Date.parse(retry)
  })
  return times.length === 0 ? null : new Date(Math.ceil(Math.min(...times))).toISOString()
}
