import type { HookOutcome } from '../certificates/renew-hooks.ts'
import type { Renewal } from '../certificates/renew.ts'
import type { Output } from './output.ts'

/**
 * Warns of the PKCS #12 files of renewed certificates, which cannot be rewritten because their
 * passwords are not kept.
 */
export function warnOfPkcs12(renewals: readonly Renewal[], output: Output): void {
  for (const { outcome, record } of renewals)
    for (const { format, path } of record?.extra ?? [])
      if (outcome === 'renewed' && format === 'pkcs12')
        output.warn(`${path} still holds the old certificate, since its password is not kept.`)
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
