import type { TrustAnchor, TrustStore } from '../../platform/trust-store.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import {
  readTrustingStores,
  writeTrustingStores,
  type TrustingStore,
} from '../storage/files/trusting-stores.ts'
import { lackingAnchors, type StoreOutcome } from './stores.ts'

/**
 * Asks every store as `lackingAnchors` does, except where its files are as they were when the store
 * last said that it trusts these anchors. What stores say now is remembered.
 */
export async function lackingSince(
  state: StateDirectory,
  stores: readonly TrustStore[],
  anchors: readonly TrustAnchor[],
): Promise<StoreOutcome[]> {
  const remembered = await readTrustingStores(state)
  const before = await stampsOf(stores)
  const isKnown = ({ id }: TrustStore, { fingerprint }: TrustAnchor): boolean => {
    const known = remembered.get(id)
    return known?.stamp === before.get(id) && known?.roots.includes(fingerprint) === true
  }
  const outcomes = await lackingAnchors(stores, anchors, isKnown)
  const isNew = ({ id }: TrustStore): boolean =>
    before.has(id) && !anchors.every((anchor) => isKnown({ id } as TrustStore, anchor))
  const asked = stores.filter(isNew)
  if (asked.length === 0) return outcomes
  const after = await stampsOf(asked)
  const said = new Map<string, TrustingStore>(remembered)
  for (const { id } of asked) {
    const [stamp, then] = [after.get(id), before.get(id)]
    const roots = anchors
      .filter(({ name }) =>
        outcomes.some(
          ({ store, anchor, outcome }) =>
            store.id === id && anchor === name && outcome === 'already-installed',
        ),
      )
      .map(({ fingerprint }) => fingerprint)
    if (stamp !== undefined && stamp === then && roots.length > 0) said.set(id, { stamp, roots })
    else said.delete(id)
  }
  if (JSON.stringify([...said]) !== JSON.stringify([...remembered]))
    // Where nothing can be written, the next command asks again.
    await writeTrustingStores(state, said).catch(() => undefined)
  return outcomes
}

async function stampsOf(stores: readonly TrustStore[]): Promise<ReadonlyMap<string, string>> {
  const stamps = new Map<string, string>()
  for (const store of stores) {
    const found = (await store.stamp?.()) ?? null
    if (found !== null) stamps.set(store.id, found)
  }
  return stamps
}
