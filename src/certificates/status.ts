import { existsSync } from '../files/exists.ts'
import type { CertificateRecord, Inventory } from '../storage/records.ts'
import { renewalTime, type Validity } from '../x509/profiles.ts'

/** Computed from the record, the files and the clock; never stored. */
export type CertificateStatus = 'current' | 'due' | 'replaced' | 'expired' | 'revoked' | 'missing'

/** The newest certificate of each file, and those without one, oldest first. */
export function currentCertificates(record: readonly CertificateRecord[]): CertificateRecord[] {
  const newest = new Map<string, CertificateRecord>()
  for (const entry of record) if (entry.certPath !== null) newest.set(entry.certPath, entry)
  return record.filter((entry) => entry.certPath === null || newest.get(entry.certPath) === entry)
}

/** Whether it is to be renewed: also when the clock was set back to before it begins. */
export function isDue(record: CertificateRecord, now: Date): boolean {
  const validity = validityOf(record)
  return now < validity.notBefore || now.getTime() >= renewalTime(validity)
}

/** When it is to be renewed, in milliseconds. */
export function dueTime(record: CertificateRecord): number {
  return renewalTime(validityOf(record))
}

function validityOf({ notBefore, notAfter }: CertificateRecord): Validity {
  return { notBefore: new Date(notBefore), notAfter: new Date(notAfter) }
}

/** Every certificate with its status, the newest first. */
export function certificateStatuses(
  { certificates, revocations }: Inventory,
  now: Date,
): { record: CertificateRecord; status: CertificateStatus }[] {
  const current = new Set(currentCertificates(certificates))
  return certificates.toReversed().map((record) => {
    if (!current.has(record)) return { record, status: 'replaced' }
    if (revocations.has(record.serialNumber)) return { record, status: 'revoked' }
    return { record, status: statusOf(record, now) }
  })
}

function statusOf(record: CertificateRecord, now: Date): CertificateStatus {
  if (Date.parse(record.notAfter) <= now.getTime()) return 'expired'
  if (record.certPath !== null && !existsSync(record.certPath)) return 'missing'
  return isDue(record, now) ? 'due' : 'current'
}
