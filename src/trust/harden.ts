import { RootlingError } from '../errors.ts'
import { openStores, type StoreOptions } from './machine-stores.ts'
import type { TrustWorld } from './world.ts'

/**
 * Throws `usage` where a system store of this machine is one with which no hardened root was tried,
 * whether or not `options` select that store. `instead` is the hint: what to type there.
 */
export async function requireHardenable(
  world: TrustWorld,
  { storeScope }: StoreOptions,
  instead: string,
): Promise<void> {
  const { stores } = await openStores(world, { kinds: ['system'], storeScope }, [])
  const other = stores.find(({ takesCopies }) => takesCopies !== true)
  if (other === undefined && stores.length > 0) return
  const where = other === undefined ? 'this machine' : other.title
  throw new RootlingError(
    'usage',
    `--harden was tried on Debian 12 and 13 alone, not with ${where}.`,
    { hint: instead },
  )
}
