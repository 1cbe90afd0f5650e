import type { StateDirectory } from '../../home/state-directory.ts'
import type { RevocationLookup } from '../../server/mutual-tls.ts'
import { certificatesOf } from '../../storage/files/certificates.ts'

/**
 * Looks up revocations in the record of this machine. What was appended to the record since the last
 * request is read, so that a `rootling revoke` in another process counts from the next request on.
 * Throws what `certificatesOf` throws.
 */
export function recordedRevocations(state: StateDirectory): RevocationLookup {
  const certificates = certificatesOf(state)
  return (serialNumber) => certificates.revocationOf(serialNumber)
}
