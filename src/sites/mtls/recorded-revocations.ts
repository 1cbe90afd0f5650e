import { stampOf } from '../../files/stamp.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import type { RevocationLookup } from '../../server/mutual-tls.ts'
import { readInventory, recordPath } from '../../storage/files/record.ts'
import type { Revocation } from '../../x509/revocation.ts'

/**
 * Looks revocations up in the record of this machine, which is read anew when it has changed: a
 * `rootling revoke` in another process counts from the next request on. Throws what `readInventory`
 * throws.
 */
export function recordedRevocations(state: StateDirectory): RevocationLookup {
  let known: { stamp: string; revocations: Promise<ReadonlyMap<string, Revocation>> } | null = null
  return async (serialNumber) => {
    const stamp = await stampOf(recordPath(state))
    if (known?.stamp !== stamp) known = { stamp, revocations: readRevocations(state) }
    return (await known.revocations).get(bare(serialNumber)) ?? null
  }
}

async function readRevocations(state: StateDirectory): Promise<ReadonlyMap<string, Revocation>> {
  const { revocations } = await readInventory(state)
  return new Map([...revocations].map(([serial, revocation]) => [bare(serial), revocation]))
}

/** OpenSSL writes a serial number in capitals and without leading zeros. */
const bare = (serialNumber: string): string => serialNumber.toLowerCase().replace(/^0+/, '')
