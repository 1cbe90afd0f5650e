import { allFormsOf, type TrustAnchor, type TrustStore } from '../../platform/trust-store.ts'
import { openScope, readScopesInRotation } from '../authority/scope.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { scopeNames } from '../storage/files/scopes.ts'
import { otherAuthorities } from '../storage/files/state-layout.ts'
import { readTrustedRoots } from '../storage/files/trusted-roots.ts'
import { anchorOf } from './machine-stores.ts'
import { storedRoot } from './stored-root.ts'
import { askEach } from './ask-each.ts'

/** A root of Rootling in stores that no authority of this person has. */
export interface StaleRoot {
  readonly anchor: TrustAnchor
  /** The stores that hold it. */
  readonly stores: readonly TrustStore[]
}

/** A root that no authority here has, as `--json` prints it and the library returns it. */
export interface DescribedStaleRoot {
  /** Its name in the stores. */
  readonly name: string
  /** SHA-256 of its DER, lower-case hex. */
  readonly fingerprint: string
  /** The titles of the stores that hold it. */
  readonly trustedBy: readonly string[]
}

export const describeStale = ({ anchor, stores }: StaleRoot): DescribedStaleRoot => ({
  name: anchor.name,
  fingerprint: anchor.fingerprint,
  trustedBy: stores.map(({ title }) => title),
})

/**
 * Finds the roots that are left in these stores although no authority in or beside the state
 * directory has them, as after that directory was lost; they may also be those of another user of the
 * machine. Stores that cannot be read are left out.
 */
export async function findStaleRoots(
  state: StateDirectory,
  stores: readonly TrustStore[],
): Promise<StaleRoot[]> {
  const known = await knownFingerprints(state)
  const found = new Map<string, { anchor: TrustAnchor; stores: TrustStore[] }>()
  const lists = await askEach(stores, (store) => store.list().catch(() => []))
  for (const [index, store] of stores.entries())
    for (const anchor of lists[index] ?? []) {
      if (known.has(anchor.fingerprint)) continue
      const entry = found.get(anchor.fingerprint) ?? { anchor, stores: [] }
      entry.stores.push(store)
      found.set(anchor.fingerprint, entry)
    }
  return [...found.values()]
}

/** The SHA-256 of the roots of these authorities, of their copies, and of roots that `trust` recorded. */
async function knownFingerprints(state: StateDirectory): Promise<ReadonlySet<string>> {
  const known = new Set<string>()
  for (const each of [state, ...(await otherAuthorities(state).catch(() => []))]) {
    const anchors = (await readScopesInRotation(each).catch(() => [])).map(anchorOf)
    for (const name of await scopeNames(each).catch(() => [])) {
      const root = await openScope(each, name).then(anchorOf, () => storedRoot(each, name))
      if (root !== null) anchors.push(root)
    }
    for (const { fingerprint } of anchors.flatMap(allFormsOf)) known.add(fingerprint)
    for (const { fingerprint } of await readTrustedRoots(each).catch(() => []))
      known.add(fingerprint)
  }
  return known
}
