import type { HookOutcome } from '../certificates/renew-hooks.ts'
import type { Renewal } from '../certificates/renew.ts'
import { isKeptRecord, isKeptSentence } from '../certificates/named.ts'
import type { CertificateRecord } from '../storage/records.ts'
import type { Context } from './context.ts'
import type { Output } from './output.ts'

/** Says of certificates that were named by a person that they are those of `kept.ts`. */
export function noteKept(
  records: readonly CertificateRecord[],
  { state, output }: Pick<Context, 'state' | 'output'>,
): void {
  if (records.some((record) => isKeptRecord(state, record))) output.note(isKeptSentence)
}

/** Prints what is to say about the files of renewed certificates. */
export function warnOfFiles(renewals: readonly Renewal[], output: Output): void {
  for (const { warnings = [] } of renewals) for (const warning of warnings) output.warn(warning)
}

/**
 * Prints which `--on-renew` commands ran, and warns of those that failed, with the lines that each
 * wrote as one.
 */
export function reportHooks(outcomes: readonly HookOutcome[], output: Output): void {
  for (const { command, failure } of outcomes)
    if (failure === null) output.note(`Ran: ${command}`)
    else output.warn(`${command} ${failure.replace(/\s*\n\s*/g, ' / ')}`)
}

export const hooksSucceeded = (outcomes: readonly HookOutcome[]): boolean =>
  outcomes.every(({ failure }) => failure === null)
