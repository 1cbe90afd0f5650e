import { newlyMade, renew, type Renewal, type Selection } from '../../certificates/renew.ts'
import { RootlingError } from '../../errors.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeIdentifiers, describeRecord, shortDate } from '../describe.ts'
import { table, type Output } from '../output.ts'
import type { renewSpec } from '../specs/certificates.ts'

/**
 * `rootling renew`: new certificates in the files of the old ones. Exit 1 when one failed, and
 * when one that was named was not renewed for another reason.
 */
export async function renewCommand(
  args: ArgumentsOf<typeof renewSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output, now } = context
  const renewals = await renew(state, selectionOf(args), { rekey: args.rekey }, now())
  reportRenewals(renewals, context)
  const hooksWell = await runHooks(renewals, context)
  const named = args.positionals.length > 0
  const failed = renewals.some(
    ({ outcome, record }) =>
      outcome === 'failed' || (named && outcome === 'skipped' && record === undefined),
  )
  if (renewals.length === 0) output.note('No certificate is due for renewal.')
  return failed || !hooksWell ? exitCodes.failed : exitCodes.ok
}

function selectionOf({ positionals, all, due }: ArgumentsOf<typeof renewSpec>): Selection {
  const ways = [positionals.length > 0, all === true, due === true].filter(Boolean).length
  if (ways !== 1)
    throw new RootlingError(
      'usage',
      'Say which certificates: names, --all or --due, one of them.',
      {
        hint: 'rootling renew --due',
      },
    )
  if (positionals.length > 0) return { which: 'named', names: positionals }
  return { which: all === true ? 'all' : 'due' }
}

/** A line a certificate, and what was left behind. */
export function reportRenewals(renewals: readonly Renewal[], { output }: Context): void {
  const rows = renewals.map(({ previous, outcome, record, reason, hint }) => [
    record === undefined ? output.style.red('✗') : output.style.green('✓'),
    describeIdentifiers(previous.identifiers),
    outcome === 'renewed' ? `until ${shortDate(record?.notAfter ?? '')}` : `${outcome}: ${reason}`,
    outcome === 'renewed' ? (previous.certPath ?? '') : (hint ?? ''),
  ])
  warnOfPkcs12(renewals, output)
  output.result(table(rows), {
    renewals: renewals.map(({ previous, record, ...rest }) => ({
      ...rest,
      previous: describeRecord(previous),
      ...(record === undefined ? {} : { certificate: describeRecord(record) }),
    })),
  })
}

/** Names the files that only their password could renew. */
export function warnOfPkcs12(renewals: readonly Renewal[], output: Output): void {
  for (const record of newlyMade(renewals))
    for (const { format, path } of record.extra ?? [])
      if (format === 'pkcs12')
        output.warn(`${path} still holds the old certificate, since its password is not kept.`)
}

/** Runs each renewed certificate's own command, and says how it went. */
export async function runHooks(
  renewals: readonly Renewal[],
  { output, env, state }: Context,
): Promise<boolean> {
  const renewed = newlyMade(renewals)
  if (renewed.every(({ onRenew }) => onRenew === undefined)) return true
  const { runRenewHooks } = await import('../../certificates/renew-hooks.ts')
  const outcomes = await runRenewHooks(renewed, { env, owner: state.owner })
  for (const { command, failure } of outcomes)
    if (failure === null) output.note(`Ran: ${command}`)
    else output.warn(`${command} ${failure}`)
  return outcomes.every(({ failure }) => failure === null)
}
