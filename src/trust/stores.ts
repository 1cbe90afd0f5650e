import { distinctAnchors } from '../../platform/pem.ts'
import {
  allFormsOf,
  type StoreKind,
  type TrustAnchor,
  type TrustStore,
  type Unavailable,
} from '../../platform/trust-store.ts'
import { Interrupted, RootlingError } from '../errors.ts'
import { askEach } from './ask-each.ts'

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

/** An anchor, and whether a store had it before the store was changed. */
interface Asked {
  readonly anchor: TrustAnchor
  readonly wasThere: boolean
}

interface Operation {
  /** Asks a store whether it has the anchor; called for all stores before any store is changed. */
  readonly ask: (store: TrustStore, anchor: TrustAnchor) => Promise<boolean>
  /** Does the work on one store, and returns an outcome for each anchor, in their order. */
  readonly act: (store: TrustStore, asked: readonly Asked[]) => Promise<OutcomeDetails[]>
  /** The outcome in a store that cannot be changed, and that has the anchor. */
  readonly heldUnchangeably: (unavailable: Unavailable) => OutcomeDetails
  /** The outcome in a store that cannot be changed, and that has none of the anchors. */
  readonly whenUnsupported: 'failed' | 'skipped'
}

const has: Operation['ask'] = (store, anchor) => store.has(anchor)

const trustsFully: Operation['ask'] = (store, anchor) =>
  store.trustsFully === undefined ? store.has(anchor) : store.trustsFully(anchor)

/**
 * Installs every anchor in every store, then asks each store whether it trusts the anchor, also
 * after a failure: what the store says is the outcome.
 */
export function installAnchors(
  stores: readonly TrustStore[],
  anchors: readonly TrustAnchor[],
  options: TrustOptions = {},
): Promise<StoreOutcome[]> {
  const judge = async (
    store: TrustStore,
    anchor: TrustAnchor,
    failure: OutcomeDetails | undefined,
  ): Promise<OutcomeDetails> => {
    if (options.dryRun === true) return failure ?? { outcome: 'would-install' }
    if (await trustsFully(store, anchor)) return { outcome: 'installed' }
    if (failure !== undefined) return failure
    const partly = await store.has(anchor)
    return {
      outcome: 'failed',
      reason: partly
        ? `${store.title} took the root, but only some programs trust it.`
        : `${store.title} took the root and does not trust it.`,
    }
  }
  const act: Operation['act'] = async (store, asked) => {
    const lacking = asked.filter(({ wasThere }) => !wasThere).map(({ anchor }) => anchor)
    const wanted = lacking.filter((anchor) => takes(store, anchor))
    const failures = await change(store, 'install', wanted)
    return inTurn(asked, async ({ anchor, wasThere }) => {
      if (wasThere) return { outcome: 'already-installed' }
      if (!takes(store, anchor)) return { outcome: 'failed', ...untried(store) }
      const failure = failures.get(anchor)
      return afterFailure(failure, () => judge(store, anchor, failure))
    })
  }
  return forEachStore(stores, anchors, options, {
    ask: trustsFully,
    act,
    heldUnchangeably: () => ({ outcome: 'already-installed' }),
    whenUnsupported: 'failed',
  })
}

/** Whether a store can hold what it should hold for an anchor. */
const takes = (store: TrustStore, anchor: TrustAnchor): boolean =>
  anchor.copies === undefined || store.kind !== 'system' || store.takesCopies === true

const untried = ({ title }: TrustStore): Pick<OutcomeDetails, 'reason' | 'hint'> => ({
  reason: `The root is hardened, which was tried on Debian 12 and 13 alone, not with ${title}.`,
  hint: 'To see which scopes are hardened: rootling ca list; for each: rootling ca rotate SCOPE --no-harden',
})

/**
 * Removes every anchor from every store, then asks each store whether the anchor is gone, also
 * after a failure: what the store says is the outcome.
 */
export function uninstallAnchors(
  stores: readonly TrustStore[],
  anchors: readonly TrustAnchor[],
  options: TrustOptions = {},
): Promise<StoreOutcome[]> {
  const judge = async (
    store: TrustStore,
    { anchor, wasThere }: Asked,
    failure: OutcomeDetails | undefined,
  ): Promise<OutcomeDetails> => {
    if (options.dryRun === true)
      return failure ?? { outcome: wasThere ? 'would-remove' : 'was-absent' }
    if (!(await isThere(store, anchor))) return { outcome: wasThere ? 'removed' : 'was-absent' }
    if (failure !== undefined) return failure
    return {
      outcome: 'failed',
      reason: `${store.title} still trusts the root.`,
      hint: 'Look for a second copy of it that was added by hand',
    }
  }
  const act: Operation['act'] = async (store, asked) => {
    // Uninstalls an anchor that seems absent too: a store can hold leftovers that it does not
    // trust. Copies of a hardened root get into Java's stores by Debian's hook.
    const forms = asked.flatMap(({ anchor }) => allFormsOf(anchor))
    const failures = await change(store, 'uninstall', forms)
    return inTurn(asked, async (each) => {
      const failure = allFormsOf(each.anchor).find((form) => failures.has(form))
      const details = failure && failures.get(failure)
      return afterFailure(details, () => judge(store, each, details))
    })
  }
  return forEachStore(stores, anchors, options, {
    ask: isThere,
    act,
    heldUnchangeably: ({ removalHint, ...why }) => ({
      ...unavailable(removalHint === undefined ? why : { ...why, hint: removalHint }, 'failed'),
      reason: `It holds the root, and cannot be changed. ${why.reason}`,
    }),
    whenUnsupported: 'skipped',
  })
}

/**
 * Installs or uninstalls anchors in one store: together where the store can, else one after the
 * other. Returns the failures, by their anchors.
 */
async function change(
  store: TrustStore,
  verb: 'install' | 'uninstall',
  anchors: readonly TrustAnchor[],
): Promise<ReadonlyMap<TrustAnchor, OutcomeDetails>> {
  const failures = new Map<TrustAnchor, OutcomeDetails>()
  const together = store.together?.[verb]
  const groups = together === undefined ? anchors.map((each) => [each]) : [anchors]
  for (const group of groups) {
    const [first] = group
    if (first === undefined) continue
    const failure = await attempt(async () => {
      await (together === undefined ? store[verb](first) : together(group))
      return null
    })
    if (failure !== null) for (const each of group) failures.set(each, failure)
  }
  return failures
}

/** Returns what `judge` returns or, where it throws, the failure that came before. */
async function afterFailure(
  failure: OutcomeDetails | undefined,
  judge: () => Promise<OutcomeDetails>,
): Promise<OutcomeDetails> {
  const details = await attempt(judge)
  return details.outcome === 'failed' ? (failure ?? details) : details
}

async function inTurn<T, U>(items: readonly T[], work: (item: T) => Promise<U>): Promise<U[]> {
  const results: U[] = []
  for (const item of items) results.push(await work(item))
  return results
}

/** Asks every store whether it trusts every anchor. Changes nothing. */
export function trustStatus(
  stores: readonly TrustStore[],
  anchors: readonly TrustAnchor[],
  options: Pick<TrustOptions, 'onOutcome'> = {},
): Promise<StoreOutcome[]> {
  const act: Operation['act'] = (store, asked) =>
    inTurn(asked, async ({ anchor, wasThere: isTrusted }) => {
      if (!isTrusted) return { outcome: 'not-trusted', ...(await obstacleTo(store, anchor)) }
      const fully = await attempt(() => trustsFully(store, anchor))
      return fully === true ? { outcome: 'trusted' } : { outcome: 'trusted', reason: partly }
    })
  return forEachStore(stores, anchors, options, {
    ask: has,
    act,
    heldUnchangeably: () => ({ outcome: 'trusted' }),
    whenUnsupported: 'failed',
  })
}

/**
 * Asks every store whether it holds every anchor, or a copy of it, trusted or not: `trusted` where it
 * does, and `failed` where a store cannot be read, so that it may. Changes nothing.
 */
export function presenceStatus(
  stores: readonly TrustStore[],
  anchors: readonly TrustAnchor[],
): Promise<StoreOutcome[]> {
  return forEachStore(
    stores,
    anchors,
    {},
    {
      ask: isThere,
      act: async (_store, asked) =>
        asked.map(({ wasThere }) => ({ outcome: wasThere ? 'trusted' : 'not-trusted' })),
      heldUnchangeably: () => ({ outcome: 'trusted' }),
      whenUnsupported: 'skipped',
    },
  )
}

async function obstacleTo(
  store: TrustStore,
  anchor: TrustAnchor,
): Promise<Pick<OutcomeDetails, 'reason' | 'hint'>> {
  const obstacle = (await store.obstacle?.(anchor).catch(() => null)) ?? null
  if (obstacle === null) return {}
  const { reason, hint } = obstacle
  return hint === undefined ? { reason } : { reason, hint }
}

/**
 * Asks every store once whether it trusts every anchor as `installAnchors` would leave it: an anchor
 * that it would install is `would-install`. Where `isKnown`, the store is known to trust the anchor
 * and is not asked. Changes nothing.
 */
export function lackingAnchors(
  stores: readonly TrustStore[],
  anchors: readonly TrustAnchor[],
  isKnown: (store: TrustStore, anchor: TrustAnchor) => boolean = () => false,
): Promise<StoreOutcome[]> {
  return forEachStore(
    stores,
    anchors,
    {},
    {
      ask: async (store, anchor) => isKnown(store, anchor) || trustsFully(store, anchor),
      act: async (_store, asked) =>
        asked.map(({ wasThere }) => ({
          outcome: wasThere ? 'already-installed' : 'would-install',
        })),
      heldUnchangeably: () => ({ outcome: 'already-installed' }),
      whenUnsupported: 'failed',
    },
  )
}

const partly = 'by some programs only; to mend it: rootling install'

/** Whether no outcome is `failed` or `not-trusted`. */
export function allWell(outcomes: readonly StoreOutcome[]): boolean {
  return outcomes.every(({ outcome }) => outcome !== 'failed' && outcome !== 'not-trusted')
}

/**
 * Finds Rootling's anchors in these stores by the prefix of their names. Needed to uninstall when
 * the state directory is gone. Stores that cannot be read are left out.
 */
export async function findInstalledAnchors(stores: readonly TrustStore[]): Promise<TrustAnchor[]> {
  const lists = await askEach(stores, (store) => store.list().catch(() => []))
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
  const ready = await askEach(stores, async (store) => ({
    store,
    answers: await answersOf(store, anchors, operation),
  }))
  const outcomes = new Map<TrustStore, StoreOutcome[]>()
  const inOrder = async (kind: StoreKind) => {
    for (const { store, answers } of ready.filter((each) => each.store.kind === kind))
      outcomes.set(store, await actOnStore(store, answers, options, operation))
  }
  const first = inOrder('system').then(() => inOrder('java'))
  if (options.dryRun) await first
  await Promise.all([first, inOrder('nss')])
  return stores.flatMap((store) => outcomes.get(store) ?? [])
}

/** What is known of the anchors in a store before anything is changed. */
type Answers =
  | { readonly asked: readonly Asked[]; readonly unavailable: Unavailable | null }
  /** A single outcome for the store as a whole. */
  | OutcomeDetails

/**
 * Returns one answer for each anchor, or a single outcome when the store is absent or cannot be read. When anchors are removed, a store that certainly holds none of them is passed over.
 */
async function answersOf(
  store: TrustStore,
  anchors: readonly TrustAnchor[],
  operation: Operation,
): Promise<Answers> {
  const answers = await attempt(() => askStore(store, anchors, operation))
  const isUnread = 'outcome' in answers && answers.outcome === 'failed'
  if (!isUnread || operation.ask !== isThere || store.lacks === undefined) return answers
  for (const form of anchors.flatMap(allFormsOf)) if (!(await store.lacks(form))) return answers
  const reason = `${answers.reason ?? ''} The root is not in it.`.trim()
  return { ...answers, outcome: 'skipped', reason }
}

/**
 * Asks a store about each anchor, also a store that cannot be changed: asking needs no right to
 * write.
 */
async function askStore(
  store: TrustStore,
  anchors: readonly TrustAnchor[],
  { ask, whenUnsupported }: Operation,
): Promise<Answers> {
  const availability = await store.availability()
  if (!availability.available && availability.code === 'absent')
    return unavailable(availability, 'skipped')
  const answers = await attempt(() =>
    inTurn(anchors, async (anchor) => ({ anchor, wasThere: await ask(store, anchor) })),
  )
  if (availability.available)
    return Array.isArray(answers) ? { asked: answers, unavailable: null } : answers
  // A store that cannot be asked may hold the root, so it is not passed over.
  if (!Array.isArray(answers)) return unavailable(availability, 'failed')
  if (!answers.some(({ wasThere }) => wasThere)) return unavailable(availability, whenUnsupported)
  return { asked: answers, unavailable: availability }
}

async function actOnStore(
  store: TrustStore,
  answers: Answers,
  options: TrustOptions,
  operation: Operation,
): Promise<StoreOutcome[]> {
  const { id, kind, title } = store
  const report = (anchor: string | null, details: OutcomeDetails) => {
    const outcome = { store: { id, kind, title }, anchor, ...details }
    options.onOutcome?.(outcome)
    return outcome
  }
  if ('outcome' in answers) return [report(null, answers)]
  const { asked, unavailable: why } = answers
  if (why !== null)
    return asked.map(({ anchor, wasThere }) =>
      report(
        anchor.name,
        wasThere ? operation.heldUnchangeably(why) : unavailable(why, operation.whenUnsupported),
      ),
    )
  const details = await operation.act(store, asked)
  return asked.map(({ anchor }, index) =>
    report(anchor.name, details[index] ?? { outcome: 'failed' }),
  )
}

/** Runs `work`, and returns an error that it throws as a `failed` outcome. */
async function attempt<T>(work: () => Promise<T>): Promise<T | OutcomeDetails> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof Interrupted) throw error
    const reason = error instanceof Error ? error.message : String(error)
    const hint = error instanceof RootlingError ? error.hint : undefined
    return { outcome: 'failed', reason, ...(hint === undefined ? {} : { hint }) }
  }
}

function unavailable(
  { code, reason, hint, tool }: Unavailable,
  whenUnsupported: Operation['whenUnsupported'],
): OutcomeDetails {
  const details = {
    reason,
    ...(hint === undefined ? {} : { hint }),
    ...(tool === undefined ? {} : { tool }),
  }
  return { outcome: code === 'missing-tool' ? 'failed' : whenUnsupported, ...details }
}

/** Whether a store holds an anchor, or one of its copies. */
async function isThere(store: TrustStore, anchor: TrustAnchor): Promise<boolean> {
  const forms = allFormsOf(anchor)
  for (const form of forms) if (await store.has(form)) return true
  const held = new Set((await store.list()).map(({ fingerprint }) => fingerprint))
  return forms.some(({ fingerprint }) => held.has(fingerprint))
}
