import { RootlingError } from '../../errors.ts'
import { anchorOf } from '../../trust/machine-stores.ts'
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
  const anchors = new Set(scopes.map((scope) => anchorOf(scope).name))
  const own = work.trust.filter(({ anchor }) => anchor === null || anchors.has(anchor))
  const lacking = own.filter(needsChange)
  if (scopes.length > 0 && lacking.length === 0) return [settled(step)]
  const titles = titlesOf(lacking.length > 0 ? lacking : own)
  const detail =
    scopes.length === 0
      ? `The authority is made, and trusted by ${titles || 'no store, since none is here'}.`
      : `It is to be trusted by ${titles}.`
  return [
    {
      step: {
        ...step,
        outcome: 'would-change',
        privileged: isPrivileged(own, scopes.length),
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

/** Whether a store does not trust a root as it should. */
export const needsChange = ({ outcome }: StoreOutcome): boolean =>
  outcome === 'would-install' || outcome === 'failed'

export const titlesOf = (outcomes: readonly StoreOutcome[]): string =>
  [
    ...new Set(
      outcomes.filter(({ outcome }) => outcome !== 'skipped').map(({ store }) => store.title),
    ),
  ].join(', ')

/** Whether a change of these stores needs root, as that of the system's does on Linux. */
export function isPrivileged(outcomes: readonly StoreOutcome[], scopes = 1): boolean {
  if (process.platform !== 'linux' || process.geteuid?.() === 0) return false
  return outcomes.some(
    (each) =>
      each.store.kind === 'system' &&
      (needsChange(each) || (scopes === 0 && each.outcome !== 'skipped')),
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
