import { newlyMade, renew, type Renewal, type Selection } from '../../certificates/renew.ts'
import type { AskPassword } from '../../certificates/pkcs12-passwords.ts'
import { isDue } from '../../certificates/status.ts'
import { RootlingError } from '../../errors.ts'
import { exitCodes, type ArgumentsOf, type ExitCode } from '../command.ts'
import type { Context } from '../context.ts'
import { describeRecord } from '../../certificates/describe-record.ts'
import { describeHolder, shortDate } from '../describe.ts'
import { dim, green, red, tableWithHints, whole } from '../lines.ts'
import type { Output } from '../output.ts'
import { readFirstLine } from '../read-input.ts'
import { hooksSucceeded, noteKept, reportHooks, warnOfFiles } from '../renewals.ts'
import type { renewSpec } from '../specs/certificates.ts'
import { quotedPath } from '../../shell-word.ts'

/**
 * `rootling renew`: writes new certificates into the files of the old ones. Exits 1 when a renewal
 * failed, or when a certificate was skipped that was named, or that is due and still in use.
 */
export async function renewCommand(
  args: ArgumentsOf<typeof renewSpec>,
  context: Context,
): Promise<ExitCode> {
  const { state, output, now } = context
  const damage = new Set<string>()
  const options = {
    rekey: args.rekey,
    onDamage: (sentence: string) => void damage.add(sentence),
    askPassword: askPassword(args, context),
  }
  const at = now()
  const renewals = await renew(state, selectionOf(args, context), options, at)
  damage.forEach((sentence) => output.warn(sentence))
  reportRenewals(renewals, output)
  const succeeded = await runHooks(renewals, context)
  const named = args.positionals.length > 0
  const skipped = renewals.filter(
    ({ outcome, record }) => outcome === 'skipped' && record === undefined,
  )
  const failed =
    renewals.some(({ outcome }) => outcome === 'failed') ||
    skipped.some(({ previous, over }) => named || (over !== true && isDue(previous, at)))
  if (named)
    noteKept(
      renewals.map(({ previous }) => previous),
      context,
    )
  if (skipped.length > mostUncounted) output.note(`${skipped.length} certificates were skipped.`)
  if (renewals.length === 0) output.note('No certificate is due for renewal.')
  return failed || !succeeded ? exitCodes.failed : exitCodes.ok
}

/** More skipped certificates than these are counted in a last line, since nobody counts the rows. */
const mostUncounted = 10

/** How the passwords of .p12 files are found that are not kept: in the named file, or by asking. */
function askPassword(
  { 'password-file': file }: ArgumentsOf<typeof renewSpec>,
  { cwd, interactive }: Context,
): AskPassword | undefined {
  if (file !== undefined) return async () => readFirstLine(file, cwd)
  if (!interactive) return undefined
  return async (path) => {
    const { askSecretOrNone } = await import('../ask.ts')
    return (
      (await askSecretOrNone(`Password of ${quotedPath(path)} (Enter leaves it as it is): `)) ||
      null
    )
  }
}

function selectionOf(
  { positionals, all, due }: ArgumentsOf<typeof renewSpec>,
  context: Context,
): Selection {
  const named = positionals.length > 0
  const ways = [named || all === true, due === true].filter(Boolean).length
  if (ways !== 1)
    throw new RootlingError('usage', 'Choose what to renew: names, --all or --due.', {
      hint: 'rootling renew --due',
    })
  if (named) return { which: 'named', names: positionals, cwd: context.cwd, all }
  return { which: all === true ? 'all' : 'due' }
}

function reportRenewals(renewals: readonly Renewal[], output: Output): void {
  const rows = renewals.map(({ previous, outcome, record, reason }) => [
    record === undefined ? red('✗') : green('✓'),
    describeHolder(previous),
    outcome === 'renewed'
      ? `until ${shortDate(record?.notAfter ?? '')}`
      : output.paths(`${outcome}: ${reason}`),
    whole(outcome === 'renewed' ? output.path(previous.certPath ?? '') : ''),
  ])
  const hints = renewals.map(({ outcome, hint = '' }) =>
    outcome === 'renewed' || hint === '' ? null : [dim('→'), ` ${output.paths(output.hint(hint))}`],
  )
  warnOfFiles(renewals, output)
  output.result(tableWithHints(rows, hints, output.width), {
    renewals: renewals.map(({ previous, record, warnings: _warned, over: _over, ...rest }) => ({
      ...rest,
      previous: describeRecord(previous),
      ...(record === undefined ? {} : { certificate: describeRecord(record) }),
    })),
  })
}

/** Runs the `--on-renew` commands of renewed certificates; returns `false` when one failed. */
async function runHooks(
  renewals: readonly Renewal[],
  { output, env, state }: Context,
): Promise<boolean> {
  const renewed = newlyMade(renewals)
  if (renewed.every(({ onRenew }) => onRenew === undefined)) return true
  const { runRenewHooks } = await import('../../certificates/renew-hooks.ts')
  const outcomes = await runRenewHooks(renewed, { env, owner: state.owner })
  reportHooks(outcomes, output)
  return hooksSucceeded(outcomes)
}
