import type { TrustAnchor, TrustStore } from '../../platform/trust-store.ts'
import { askEach } from './ask-each.ts'
import { uninstallAnchors, type OutcomeDetails, type StoreOutcome } from './stores.ts'

/** Why a root of another authority is kept out of Java's stores unless they are asked for. */
export const javaIgnoresConstraints =
  'Java ignores the name constraints of a root, so to Java it may sign any name'

/**
 * Calls `install`, which puts an anchor into other stores, and keeps the anchor out of Java's
 * stores: Debian and others copy the system store into Java's when it changes, so a copy that was
 * not there before is removed. Returns the outcomes of `install`, and one for each store of Java's.
 */
export async function installBesideJava(
  java: readonly TrustStore[],
  anchor: TrustAnchor,
  install: () => Promise<StoreOutcome[]>,
): Promise<StoreOutcome[]> {
  const before = await askEach(java, (store) => holds(store, anchor))
  const outcomes = [...(await install())]
  for (const [i, store] of java.entries()) {
    const { id, kind, title } = store
    const details = await leaveOut(store, anchor, before[i] ?? null)
    outcomes.push({ store: { id, kind, title }, anchor: anchor.name, ...details })
  }
  return outcomes
}

const toInclude = `${javaIgnoresConstraints}. To trust it there too: --stores java`

async function leaveOut(
  store: TrustStore,
  anchor: TrustAnchor,
  before: boolean | null,
): Promise<OutcomeDetails> {
  const availability = await store.availability()
  if (!availability.available && availability.code === 'absent')
    return { outcome: 'skipped', reason: availability.reason }
  if (before === true) return { outcome: 'already-installed', reason: javaIgnoresConstraints }
  if (before === null || (await holds(store, anchor)) !== true)
    return { outcome: 'skipped', reason: toInclude }
  const [removal] = await uninstallAnchors([store], [anchor])
  if (removal?.outcome === 'removed')
    return {
      outcome: 'skipped',
      reason: `the system's copy of the root was removed again, and an update may bring it back. ${toInclude}`,
    }
  const { reason, hint } = removal ?? {}
  return {
    outcome: 'failed',
    reason:
      `the system copied the root into it, and that could not be undone. ${reason ?? ''}`.trim(),
    ...(hint === undefined ? {} : { hint }),
  }
}

/** Whether a store trusts an anchor; `null`: the store cannot be read. */
async function holds(store: TrustStore, anchor: TrustAnchor): Promise<boolean | null> {
  try {
    return await store.has(anchor)
  } catch {
    return null
  }
}

/**
 * Calls `change`, which may make the system copy its whole store into Java's again, as Debian does
 * when a root is removed, and takes out of Java's stores the roots that came by it. `own` are those
 * of this authority, which stay.
 */
export async function changeBesideJava<T>(
  java: readonly TrustStore[],
  own: readonly TrustAnchor[],
  change: () => Promise<T>,
): Promise<T> {
  const list = async (store: TrustStore): Promise<readonly TrustAnchor[] | null> =>
    store.list().catch(() => null)
  const before = await askEach(java, list)
  const result = await change()
  for (const [i, store] of java.entries()) {
    const kept = before[i] ?? null
    const now = kept === null ? null : await list(store)
    if (kept === null || now === null) continue
    const stays = new Set([...kept, ...own].map(({ fingerprint }) => fingerprint))
    const came = now.filter(({ fingerprint }) => !stays.has(fingerprint))
    if (came.length > 0) await uninstallAnchors([store], came)
  }
  return result
}
