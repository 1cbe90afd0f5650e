import { join } from 'node:path'
import { parseBoundedJson } from '../../bounded-json.ts'
import { writeFileAtomic } from '../../files/atomic.ts'
import { readText } from '../../files/read.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { isText } from './stored-values.ts'

/** What a trust store said when it was last asked, by a program that takes a while to start. */
export interface TrustingStore {
  /** What the store's files looked like then. */
  readonly stamp: string
  /** The fingerprints of the roots that it trusts. */
  readonly roots: readonly string[]
}

/** By the IDs of the stores. */
export type TrustingStores = ReadonlyMap<string, TrustingStore>

const pathOf = ({ path }: StateDirectory): string => join(path, 'trusting-stores.json')

/** Reads what stores said. A damaged file says nothing: the stores are then asked again. */
export async function readTrustingStores(state: StateDirectory): Promise<TrustingStores> {
  const text = await readText(pathOf(state), 1024 * 1024).catch(() => null)
  if (text === null) return new Map()
  try {
    const { trusting } = parseBoundedJson(text) as { trusting: Record<string, TrustingStore> }
    const isSound = ({ stamp, roots }: TrustingStore): boolean =>
      isText(stamp) && Array.isArray(roots) && roots.every(isText)
    return new Map(Object.entries(trusting).filter(([, store]) => isSound(store)))
  } catch {
    return new Map()
  }
}

/** Replaces what stores said. */
export async function writeTrustingStores(
  state: StateDirectory,
  stores: TrustingStores,
): Promise<void> {
  const data = `${JSON.stringify({ trusting: Object.fromEntries(stores) })}\n`
  await writeFileAtomic(pathOf(state), { data, mode: 0o600 }, state.owner)
}
