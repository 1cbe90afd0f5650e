import type { RevocationLookup } from '../../server/mutual-tls.ts'
import type { CertificateReader } from '../../storage/storage.ts'

/**
 * Looks up revocations in the record of this machine. What was appended to the record since the last
 * request is read, so that a `rootling revoke` in another process counts from the next request on.
 * Throws what `certificates` throws.
 */
export const recordedRevocations =
  (certificates: CertificateReader): RevocationLookup =>
  (serialNumber) =>
    certificates.revocationOf(serialNumber)
