import { stampOf } from '../../files/stamp.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import type { RevocationLookup } from '../../server/mutual-tls.ts'
import { readInventory, recordPath } from '../../storage/files/record.ts'
import type { Revocation } from '../../x509/revocation.ts'

/**
 * Looks up revocations in the record of this machine. The record is read anew when it has changed,
 * so that a `rootling revoke` in another process counts from the next request on. Throws what
 * `readInventory` throws.
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

/**
 * Returns a serial number in lower case and without leading zeros, for comparing: OpenSSL writes
 * capitals, and leaves out leading zeros.
 */
const bare = (serialNumber: string): string => serialNumber.toLowerCase().replace(/^0+/, '')
