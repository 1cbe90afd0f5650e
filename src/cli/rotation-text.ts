import { isTrusted, type Scope } from '../authority/scope.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import type { RotationEffects, RotationPlan } from '../trust/rotation-plan.ts'
import type { StoreOutcome } from '../trust/stores.ts'
import { rootPath } from '../storage/files/scopes.ts'
import type { CertificateRecord } from '../storage/records.ts'
import type { Context } from './context.ts'
import { commonName, describeScope } from '../authority/describe-scope.ts'
import { describeRecord } from '../certificates/describe-record.ts'
import { describeConstraints, describeHolder, rootText, scopeText, shortDate } from './describe.ts'

/** Prints what a rotation would do. */
export function notePlan(plan: RotationPlan, { output }: Pick<Context, 'output'>): void {
  for (const line of planLines(plan)) output.note(output.paths(line))
}

/** Returns what a rotation would do, in words. */
export function planLines(plan: RotationPlan): string[] {
  const { old, next, continues, commands, renewals, unsignable, unfiled, effects } = plan
  const { name } = next
  const made = next.fingerprint === null ? 'made now' : rootText(name, next.fingerprint)
  const end = shortDate(next.rootNotAfter.toISOString())
  const asksPassword = commands.some((command) => command.startsWith('sudo '))
  const stores = isTrusted(old) ? storeLines(plan.outcomes) : []
  return [
    continues === null
      ? `Rotates the scope ${name}:`
      : `Continues the rotation of the scope ${name} that was interrupted:`,
    `  the root ${scopeText(old)}, ${commonName(old)}, until ${shortDate(old.rootNotAfter.toISOString())}`,
    `  is replaced by a root (${made}, until ${end}) for ${describeConstraints(next)}${next.hardened ? ', hardened' : ''}`,
    ...(stores.length > 0 ? ['Trust stores:', ...listed(stores)] : ['No trust store is changed.']),
    ...(asksPassword ? ['For these, sudo may ask for your password.'] : []),
    ...(renewals.length > 0
      ? ['Issued anew, with the same keys:', ...listed(renewals.map(describeRenewal))]
      : ['No certificate in a file needs to be issued anew.']),
    ...(unsignable.length > 0
      ? [
          'No scope may sign these any more, so the old root would stay beside the new one until that changes:',
          ...listed(unsignable.map(describeRenewal)),
        ]
      : []),
    ...(unfiled.length > 0
      ? [
          `${unfiled.length} certificates of the scope are in no file, such as those of ACME clients: those that the old root signed must be requested again.`,
        ]
      : []),
    ...effectLines(effects, 'To reload by hand afterwards'),
    oldElsewhere(next),
  ]
}

function describeRenewal(record: CertificateRecord): string {
  const { certPath, onRenew } = record
  const hook = onRenew === undefined ? '' : `, then runs: ${onRenew}`
  return `${describeHolder(record)} in ${certPath}${hook}`
}

/** Returns a line for each store that is not passed over. */
function storeLines(outcomes: readonly StoreOutcome[]): string[] {
  const words = new Map<string, string[]>()
  for (const { store, outcome, reason } of outcomes) {
    const said =
      outcome === 'would-install'
        ? 'takes the new root'
        : outcome === 'already-installed'
          ? 'has the new root'
          : outcome === 'would-remove'
            ? 'gives up the old one'
            : outcome === 'failed'
              ? `cannot be changed: ${reason ?? ''}`
              : null
    const before = words.get(store.title) ?? []
    if (said !== null && !before.includes(said)) words.set(store.title, [...before, said])
  }
  return [...words].map(([title, said]) => `${title} ${said.join(', then ')}`)
}

/** Returns what a finished rotation, or one that stopped after the switch, leaves to be done. */
export function effectLines(
  { reload, updated, stale }: RotationEffects,
  title = 'To reload by hand now',
): string[] {
  return [
    ...(reload.length > 0
      ? [
          `${title}: the programs that read these files (the daemon, and a server of this CA without --cert-file, follow by themselves):`,
          ...listed(reload),
        ]
      : []),
    'Files of roots that are kept up to date in place, for programs to read again:',
    ...listed(updated),
    ...(stale.length > 0
      ? ['Old or gone: make these anew with rootling issue, or name others:', ...listed(stale)]
      : []),
  ]
}

/** Says what holds the old root elsewhere, of which there is no record. */
export function oldElsewhere({ name, use }: Pick<Scope, 'name' | 'use'>): string {
  const holders = use === 'clients' ? 'what install-client gave to browsers, ' : ''
  return `Old, wherever they are, since no record is kept of them: files that ca export and crl --out wrote, ${holders}and the root on phones, in containers and at teammates. To write them anew: rootling ca export ${name} --out FILE --force; rootling crl --scope ${name} --out FILE`
}

const mostListed = 20

function listed(items: readonly string[]): string[] {
  const more = items.length > mostListed ? [`and ${items.length - mostListed} more`] : []
  return [...items.slice(0, mostListed), ...more].map((item) => `  ${item}`)
}

/** Returns a plan as `--json` prints it. */
export function describePlan(plan: RotationPlan, state: StateDirectory): Record<string, unknown> {
  const { old, next, continues, renewals, unsignable, unfiled, effects } = plan
  const { rootNotAfter, ...scope } = next
  return {
    continues,
    old: describeScope(old),
    next: {
      ...scope,
      notAfter: rootNotAfter.toISOString(),
      rootPath: rootPath(state, next.name),
    },
    renewals: renewals.map(describeRecord),
    unsignable: unsignable.map(({ serialNumber }) => serialNumber),
    unfiled: unfiled.map(({ serialNumber }) => serialNumber),
    ...effects,
  }
}
