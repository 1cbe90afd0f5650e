import { existsSync } from '../files/exists.ts'
import type { CertificateRecord, Inventory } from '../storage/records.ts'
import type { Entry } from '../storage/storage.ts'
import { isDueForRenewal, parseValidity, renewalTime } from '../x509/profiles.ts'

/** The status of a certificate, computed from the record, the files and the clock. */
export type CertificateStatus =
  | 'current'
  | 'due'
  | 'replaced'
  | 'expired'
  | 'revoked'
  | 'missing'
  | 'forgotten'

/**
 * Returns the newest certificate of each file, and the certificates without a file, oldest first.
 */
export function currentCertificates(record: readonly CertificateRecord[]): CertificateRecord[] {
  const newest = new Map<string, CertificateRecord>()
  for (const entry of record) if (entry.certPath !== null) newest.set(entry.certPath, entry)
  return record.filter((entry) => entry.certPath === null || newest.get(entry.certPath) === entry)
}

/** Whether a certificate is due for renewal. */
export const isDue = (record: CertificateRecord, now: Date): boolean =>
  isDueForRenewal(parseValidity(record), now)

/** When a certificate is due for renewal, in milliseconds. */
export function dueTime(record: CertificateRecord): number {
  return renewalTime(parseValidity(record))
}

/** Returns every certificate with its status, the newest first. */
export function certificateStatuses(
  { certificates, revocations, forgotten }: Inventory,
  now: Date,
): { record: CertificateRecord; status: CertificateStatus }[] {
  const current = new Set(currentCertificates(certificates))
  return certificates.toReversed().map((record) => {
    const revocation = revocations.get(record.serialNumber) ?? null
    const gone = forgotten.has(record.serialNumber)
    const entry = { certificate: record, revocation, forgotten: gone }
    return { record, status: statusOf({ ...entry, replaced: !current.has(record) }, now) }
  })
}

/** Returns the status of a certificate; `replaced`: a later one has taken its file. */
export function statusOf(
  entry: Entry & { readonly replaced: boolean },
  now: Date,
): CertificateStatus {
  const { certificate, revocation, forgotten, replaced } = entry
  const { notAfter, certPath } = certificate
  if (replaced) return revocation === null ? 'replaced' : 'revoked'
  if (forgotten) return 'forgotten'
  if (revocation !== null) return 'revoked'
  if (Date.parse(notAfter) <= now.getTime()) return 'expired'
  if (certPath !== null && !existsSync(certPath)) return 'missing'
  return isDue(certificate, now) ? 'due' : 'current'
}
