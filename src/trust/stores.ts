import { distinctAnchors } from '../../platform/pem.ts'
import {
  allFormsOf,
  type StoreKind,
  type TrustAnchor,
  type TrustStore,
  type Unavailable,
} from '../../platform/trust-store.ts'
import { RootlingError } from '../errors.ts'

/** The result of installing, removing or checking one anchor in one store. */
type Outcome =
  | 'installed'
  | 'already-installed'
  | 'removed'
  | 'was-absent'
  | 'trusted'
  | 'not-trusted'
  | 'would-install' // a dry run
  | 'would-remove' // a dry run
  | 'skipped' // nothing of the kind is on this machine, or it was left out
  | 'failed'

export interface StoreOutcome {
  readonly store: { readonly id: string; readonly kind: StoreKind; readonly title: string }
  /** The anchor's name; `null` when the store as a whole was skipped or failed. */
  readonly anchor: string | null
  readonly outcome: Outcome
  /** Why the store was `skipped` or `failed`, in one sentence. */
  readonly reason?: string
  /** What the person can type next. */
  readonly hint?: string
  /** The program that is missing, and the command that installs it. */
  readonly tool?: NonNullable<Unavailable['tool']>
}

export interface TrustOptions {
  /** Called as soon as an outcome is known. */
  readonly onOutcome?: (outcome: StoreOutcome) => void
  /**
   * Whether the machine only records commands. A store is then not asked again after its change.
   */
  readonly dryRun?: boolean
}

/** An outcome without its store and anchor. */
export type OutcomeDetails = Pick<StoreOutcome, 'outcome' | 'reason' | 'hint' | 'tool'>

interface Operation {
  /** Asks a store whether it has the anchor; called for all stores before any store is changed. */
  readonly ask: (store: TrustStore, anchor: TrustAnchor) => Promise<boolean>
  /** Does the work on one store; `wasThere` is the answer of `ask`. */
  readonly act: (
    store: TrustStore,
    anchor: TrustAnchor,
    wasThere: boolean,
  ) => Promise<OutcomeDetails>
  readonly whenUnsupported: 'failed' | 'skipped'
}

const has: Operation['ask'] = (store, anchor) => store.has(anchor)

/** Installs every anchor in every store, then asks each store whether it trusts the anchor. */
export function installAnchors(
  stores: readonly TrustStore[],
  anchors: readonly TrustAnchor[],
  options: TrustOptions = {},
): Promise<StoreOutcome[]> {
  const act: Operation['act'] = async (store, anchor, wasThere) => {
    if (wasThere) return { outcome: 'already-installed' }
    if (!takes(store, anchor)) return { outcome: 'failed', ...untried(store) }
    await store.install(anchor)
    if (options.dryRun) return { outcome: 'would-install' }
    if (await store.has(anchor)) return { outcome: 'installed' }
    return { outcome: 'failed', reason: `${store.title} took the root and does not trust it.` }
  }
  return forEachStore(stores, anchors, options, { ask: has, act, whenUnsupported: 'failed' })
}

/** Whether a store can hold what it should hold for an anchor. */
const takes = (store: TrustStore, anchor: TrustAnchor): boolean =>
  anchor.copies === undefined || store.kind !== 'system' || store.takesCopies === true

const untried = ({ title }: TrustStore): Pick<OutcomeDetails, 'reason' | 'hint'> => ({
  reason: `The root is hardened, which was tried on Debian 12 and 13 alone, not with ${title}.`,
  hint: 'rootling ca rotate --no-harden, for each hardened scope that rootling ca list shows',
})

/** Removes every anchor from every store, then asks each store whether the anchor is gone. */
export function uninstallAnchors(
  stores: readonly TrustStore[],
  anchors: readonly TrustAnchor[],
  options: TrustOptions = {},
): Promise<StoreOutcome[]> {
  const act: Operation['act'] = async (store, anchor, wasThere) => {
    // Uninstalls an anchor that seems absent too: a store can hold leftovers that it does not
    // trust. Copies of a hardened root get into Java's stores by Debian's hook.
    for (const each of allFormsOf(anchor)) await store.uninstall(each)
    if (!wasThere) return { outcome: 'was-absent' }
    if (options.dryRun) return { outcome: 'would-remove' }
    if (!(await isThere(store, anchor))) return { outcome: 'removed' }
    return {
      outcome: 'failed',
      reason: `${store.title} still trusts the root.`,
      hint: 'Look for a second copy of it that was added by hand',
    }
  }
  return forEachStore(stores, anchors, options, { ask: isThere, act, whenUnsupported: 'skipped' })
}

/** Asks every store whether it trusts every anchor. Changes nothing. */
export function trustStatus(
  stores: readonly TrustStore[],
  anchors: readonly TrustAnchor[],
  options: Pick<TrustOptions, 'onOutcome'> = {},
): Promise<StoreOutcome[]> {
  const act: Operation['act'] = async (_store, _anchor, isTrusted) => ({
    outcome: isTrusted ? 'trusted' : 'not-trusted',
  })
  return forEachStore(stores, anchors, options, { ask: has, act, whenUnsupported: 'failed' })
}

/** Whether no outcome is `failed` or `not-trusted`. */
export function allWell(outcomes: readonly StoreOutcome[]): boolean {
  return outcomes.every(({ outcome }) => outcome !== 'failed' && outcome !== 'not-trusted')
}

/**
 * Finds Rootling's anchors in these stores by the prefix of their names. Needed to uninstall when
 * the state directory is gone. Stores that cannot be read are left out.
 */
export async function findInstalledAnchors(stores: readonly TrustStore[]): Promise<TrustAnchor[]> {
  const lists = await Promise.all(
    stores.map(async (store) => {
      try {
        return (await store.availability()).available ? await store.list() : []
      } catch {
        return []
      }
    }),
  )
  return distinctAnchors(lists.flat())
}

/**
 * Asks all stores before changing any, because Debian's update-ca-certificates also writes Java's
 * keystore: a root that it puts there then counts as installed by this call, not as already there.
 * For the same reason Java's stores are changed after the system store. Browsers wait for no other
 * store, except in a dry run, where the order of the commands should be readable.
 */
async function forEachStore(
  stores: readonly TrustStore[],
  anchors: readonly TrustAnchor[],
  options: TrustOptions,
  operation: Operation,
): Promise<StoreOutcome[]> {
  const ready = await Promise.all(
    stores.map(async (store) => ({
      store,
      answers: await answersOf(store, anchors, operation),
    })),
  )
  const outcomes = new Map<TrustStore, StoreOutcome[]>()
  const inOrder = async (kind: StoreKind) => {
    for (const { store, answers } of ready.filter((each) => each.store.kind === kind))
      outcomes.set(store, await actOnStore(store, anchors, answers, options, operation))
  }
  const first = inOrder('system').then(() => inOrder('java'))
  if (options.dryRun) await first
  await Promise.all([first, inOrder('nss')])
  return stores.flatMap((store) => outcomes.get(store) ?? [])
}

/**
 * Returns one answer for each anchor, or a single outcome when the store is not available or cannot
 * be read. When anchors are removed, a store that certainly holds none of them is passed over.
 */
async function answersOf(
  store: TrustStore,
  anchors: readonly TrustAnchor[],
  operation: Operation,
): Promise<boolean[] | OutcomeDetails> {
  const answers = await attempt(() => askStore(store, anchors, operation))
  const isUnread = !Array.isArray(answers) && answers.outcome === 'failed'
  if (!isUnread || operation.ask !== isThere || store.lacks === undefined) return answers
  for (const form of anchors.flatMap(allFormsOf)) if (!(await store.lacks(form))) return answers
  const reason = `${answers.reason ?? ''} The root is not in it.`.trim()
  return { ...answers, outcome: 'skipped', reason }
}

/** Returns one answer for each anchor, or a single outcome when the store is not available. */
async function askStore(
  store: TrustStore,
  anchors: readonly TrustAnchor[],
  { ask, whenUnsupported }: Operation,
): Promise<boolean[] | OutcomeDetails> {
  const availability = await store.availability()
  if (!availability.available) return unavailable(availability, whenUnsupported)
  const answers: boolean[] = []
  for (const anchor of anchors) answers.push(await ask(store, anchor))
  return answers
}

async function actOnStore(
  store: TrustStore,
  anchors: readonly TrustAnchor[],
  answers: boolean[] | OutcomeDetails,
  options: TrustOptions,
  operation: Operation,
): Promise<StoreOutcome[]> {
  const { id, kind, title } = store
  const report = (anchor: string | null, details: OutcomeDetails) => {
    const outcome = { store: { id, kind, title }, anchor, ...details }
    options.onOutcome?.(outcome)
    return outcome
  }
  if (!Array.isArray(answers)) return [report(null, answers)]
  const outcomes: StoreOutcome[] = []
  for (const [index, anchor] of anchors.entries()) {
    const wasThere = answers[index] ?? false
    const details = await attempt(() => operation.act(store, anchor, wasThere))
    outcomes.push(report(anchor.name, details))
  }
  return outcomes
}

/** Runs `work`, and returns an error that it throws as a `failed` outcome. */
async function attempt<T>(work: () => Promise<T>): Promise<T | OutcomeDetails> {
  try {
    return await work()
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    const hint = error instanceof RootlingError ? error.hint : undefined
    return { outcome: 'failed', reason, ...(hint === undefined ? {} : { hint }) }
  }
}

function unavailable(
  { code, reason, hint, tool }: Unavailable,
  whenUnsupported: 'failed' | 'skipped',
): OutcomeDetails {
  const details = {
    reason,
    ...(hint === undefined ? {} : { hint }),
    ...(tool === undefined ? {} : { tool }),
  }
  switch (code) {
    case 'absent':
      return { outcome: 'skipped', ...details }
    case 'missing-tool':
      return { outcome: 'failed', ...details }
    case 'unsupported':
      return { outcome: whenUnsupported, ...details }
  }
}

/** Whether a store holds an anchor, or one of its copies. */
async function isThere(store: TrustStore, anchor: TrustAnchor): Promise<boolean> {
  const forms = allFormsOf(anchor)
  for (const form of forms) if (await store.has(form)) return true
  const held = new Set((await store.list()).map(({ fingerprint }) => fingerprint))
  return forms.some(({ fingerprint }) => held.has(fingerprint))
}
