import { runRenewHooks } from '../certificates/renew-hooks.ts'
import { newlyMade, renew, type Renewal } from '../certificates/renew.ts'
import { isDue } from '../certificates/status.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { describeHolder, type CertificateRecord } from '../storage/records.ts'
import type { FailureCause, Failures } from './renewal-failures.ts'

export interface RenewalWork {
  readonly state: StateDirectory
  readonly now: () => Date
  readonly log: (line: string) => void
  readonly env: Readonly<Record<string, string | undefined>>
  /** The failures, to which this work adds its own. */
  readonly failures: Failures
  /** Called with a sentence for each damaged line of the record, again and again. */
  readonly onDamage: (sentence: string) => void
  /** Ends the command that runs, and keeps anything more from beginning. */
  readonly signal: AbortSignal
  /** How long an `--on-renew` command may run. */
  readonly commandMilliseconds?: number | undefined
}

/**
 * Renews those certificates that are due, and runs the `--on-renew` commands of certificates that
 * were just renewed and of those whose command failed before.
 */
export async function renewDue(
  work: RenewalWork,
  certificates: readonly CertificateRecord[],
): Promise<void> {
  const { state, now, failures, signal, onDamage } = work
  const triable = certificates.filter((certificate) => failures.mayTry(certificate))
  const wanted = new Set(triable.map(({ serialNumber }) => serialNumber))
  const only = async ({ serialNumber }: CertificateRecord): Promise<boolean> =>
    !signal.aborted && wanted.has(serialNumber)
  const at = now()
  const renewals = triable.some((certificate) => isDue(certificate, at))
    ? await renew(state, { which: 'due' }, { only, onDamage }, at)
    : []
  for (const renewal of renewals) settle(work, renewal)
  const again = triable.filter((certificate) => failures.of(certificate)?.command !== undefined)
  await runCommands(work, [...newlyMade(renewals), ...again])
}

function settle(
  work: RenewalWork,
  { previous, outcome, record, reason = '', hint, warnings = [] }: Renewal,
): void {
  const { failures, log } = work
  if (record === undefined)
    return fail(work, previous, `could not renew ${describeHolder(previous)}:`, { reason, hint })
  failures.delete(previous)
  if (outcome === 'renewed')
    log(`renewed ${describeHolder(previous)} until ${record.notAfter} in ${previous.certPath}`)
  for (const warning of warnings) log(warning)
}

async function runCommands(
  work: RenewalWork,
  certificates: readonly CertificateRecord[],
): Promise<void> {
  const { state, env, signal, failures, log, commandMilliseconds } = work
  const outcomes = await runRenewHooks(certificates, {
    env,
    owner: state.owner,
    signal,
    ...(commandMilliseconds === undefined ? {} : { timeLimitMilliseconds: commandMilliseconds }),
  })
  for (const { command, failure } of outcomes) {
    if (failure === null) log(`ran ${command}`)
    for (const certificate of certificates) {
      if (certificate.onRenew !== command) continue
      if (failure === null) failures.delete(certificate)
      else {
        const reason = `${command} ${failure}`
        fail(work, certificate, `for ${describeHolder(certificate)}:`, { reason, command })
      }
    }
  }
}

function fail(
  { failures, log }: RenewalWork,
  certificate: CertificateRecord,
  what: string,
  cause: FailureCause,
): void {
  const { reason, nextAttempt } = failures.add(certificate, cause)
  log(`${what} ${reason} Next try ${nextAttempt}`)
}
