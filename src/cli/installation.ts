import { storeKinds } from '../../platform/trust-store.ts'
import type { Installation } from '../trust/install.ts'
import { describeStale, type StaleRoot } from '../trust/stale-roots.ts'
import type { StoreOutcome } from '../trust/stores.ts'
import { exitCodes, type ExitCode } from './command.ts'
import { describeScope } from '../authority/describe-scope.ts'
import { rootText } from './describe.ts'
import type { Output } from './output.ts'
import { changeExitCode, outcomeTable, printPlan } from './store-outcomes.ts'

/** Prints the result of installing roots, or after a dry run the plan. Returns the exit code. */
export function reportInstallation(installation: Installation, output: Output): ExitCode {
  const { created, scopes, kinds, outcomes, stale = [] } = installation
  if (printPlan(installation, output)) return changeExitCode(outcomes)
  output.result(outcomeTable(outcomes, output, scopes), {
    created,
    scopes: scopes.map(describeScope),
    stores: outcomes,
    kinds: kinds ?? null,
    stale: stale.map(describeStale),
  })
  noteStale(stale, output)
  if (kinds?.length === 0) {
    for (const { name, rootPath } of scopes)
      output.note(
        `No store trusts the root of ${name}. Programs may be given its file ${output.path(rootPath)}.`,
      )
    return exitCodes.ok
  }
  noteKinds(kinds, output)
  return summarize(outcomes, output)
}

/** Names the roots that stores hold and no authority here has, and how each is taken out. */
export function noteStale(stale: readonly StaleRoot[], output: Output): void {
  for (const { anchor, stores } of stale)
    output.note(
      `${rootText(anchor.name, anchor.fingerprint)} is still trusted by ${stores.map(({ title }) => title).join(', ')}, and no authority here has it; it may be another user’s. To take it out: rootling untrust ${anchor.fingerprint}`,
    )
}

/** Says that other kinds of stores are left out. */
export function noteKinds(kinds: Installation['kinds'], output: Output): void {
  const left = storeKinds.filter((kind) => kinds?.includes(kind) === false)
  if (left.length > 0)
    output.note(
      `Stores of the kind ${left.join(', ')} are left out, as install was told. For all: rootling install --stores ${storeKinds.join(',')}`,
    )
}

function summarize(outcomes: readonly StoreOutcome[], output: Output): ExitCode {
  const good = outcomes.filter(
    ({ outcome }) => outcome === 'installed' || outcome === 'already-installed',
  )
  const failed = outcomes.filter(({ outcome }) => outcome === 'failed')
  if (failed.length > 0) output.note(failureSentence(outcomes))
  else if (good.length === 0) {
    output.note('There is no trust store to install the CA in, so nothing trusts it.')
    return exitCodes.notTrusted
  }
  if (outcomes.some(({ store, outcome }) => store.kind === 'nss' && outcome === 'installed'))
    output.note('A browser that is open may need a restart to trust hosts that it refused before.')
  return changeExitCode(outcomes)
}

function failureSentence(outcomes: readonly StoreOutcome[]): string {
  const idsOf = (chosen: readonly StoreOutcome[]) => new Set(chosen.map(({ store }) => store.id))
  const failed = idsOf(outcomes.filter(({ outcome }) => outcome === 'failed')).size
  const all = idsOf(outcomes.filter(({ outcome }) => outcome !== 'skipped')).size
  if (failed < all) return `${failed} of ${all} stores failed; the others trust the CA.`
  return all === 1
    ? 'The only store failed, so nothing trusts the CA.'
    : `All ${all} stores failed, so nothing trusts the CA.`
}
