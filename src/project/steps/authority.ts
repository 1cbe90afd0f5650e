import { RootlingError } from '../../errors.ts'
import { anchorOf, placeholderName } from '../../trust/machine-stores.ts'
import type { StoreOutcome } from '../../trust/stores.ts'
import { settled, type PlannedStep, type Work } from '../step.ts'

/** Plans that there is an authority, and that the stores trust the roots of all its scopes. */
export async function planAuthority(work: Work): Promise<PlannedStep[]> {
  const { world, options, scopes } = work
  const step = {
    code: 'authority',
    subject: world.state.path,
    command: 'rootling install',
  } as const
  const own = ownOutcomes(work)
  const lacking = own.filter(needsChange)
  if (scopes.length > 0 && lacking.length === 0) return [settled(step)]
  const titles = titlesOf(lacking)
  const detail =
    scopes.length === 0
      ? `The authority is made, and trusted by ${titles || 'no store, since none is here or chosen'}.`
      : `It is to be trusted by ${titles}.`
  return [
    {
      step: {
        ...step,
        outcome: 'would-change',
        privileged: isPrivileged(own),
        detail,
      },
      dangers: [],
      done: [],
      uses: [],
      apply: async () => {
        const { installAuthority } = await import('../../trust/install.ts')
        const { created, outcomes } = await installAuthority(world, options, null)
        refuseFailures(outcomes)
        const held = outcomes.filter(({ outcome }) => outcome === 'installed')
        const made = created ? 'The authority was made' : 'The authority was there'
        return held.length === 0 ? `${made}.` : `${made}; now trusted by ${titlesOf(held)}.`
      },
    },
  ]
}

/** What the stores say of the own roots, or of the one that is to be made. */
function ownOutcomes({ scopes, trust }: Work): StoreOutcome[] {
  const names = new Set(scopes.map((scope) => anchorOf(scope).name))
  if (scopes.length === 0) names.add(placeholderName)
  return trust.filter(({ anchor }) => anchor === null || names.has(anchor))
}

/** Whether a store does not trust a root as it should. */
export const needsChange = ({ outcome }: StoreOutcome): boolean =>
  outcome === 'would-install' || outcome === 'failed'

export const titlesOf = (outcomes: readonly StoreOutcome[]): string =>
  [
    ...new Set(
      outcomes.filter(({ outcome }) => outcome !== 'skipped').map(({ store }) => store.title),
    ),
  ].join(', ')

/**
 * Whether a change of these stores needs root, as that of the system's does on Linux. `isNew`: it is
 * for one more root, which they were not asked about.
 */
export function isPrivileged(outcomes: readonly StoreOutcome[], isNew = false): boolean {
  if (process.platform !== 'linux' || process.geteuid?.() === 0) return false
  return outcomes.some(
    (each) =>
      each.store.kind === 'system' && (needsChange(each) || (isNew && each.outcome !== 'skipped')),
  )
}

/** Throws `store-failed` where a store failed, with the reasons of all that did. */
export function refuseFailures(outcomes: readonly StoreOutcome[]): void {
  const failed = outcomes.filter(({ outcome }) => outcome === 'failed')
  if (failed.length === 0) return
  const reasons = new Set(
    failed.map(({ store, reason = 'It failed.' }) =>
      reason.includes(store.title) ? reason : `${store.title}: ${reason}`,
    ),
  )
  throw new RootlingError('store-failed', [...reasons].join(' '), {
    hint: failed.find(({ hint }) => hint !== undefined)?.hint,
  })
}
