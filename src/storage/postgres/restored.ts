import { inspectCrl } from '../../x509/crl-reader.ts'
import type { Storage } from '../storage.ts'

/**
 * Returns the serial numbers that a CRL lists and the record does not know as revoked. After a restore
 * from a backup, with the newest CRL that was kept from before, these are the revocations that came
 * after the backup. Among them may be a hold that was released since the CRL was made. The signature of
 * the CRL is not verified here. Throws `bad-der`, also for more than a MiB, and what the storage throws.
 */
export async function forgottenRevocations(
  storage: Storage,
  crlDer: Buffer,
): Promise<readonly string[]> {
  const forgotten: string[] = []
  for (const { serialNumber } of inspectCrl(crlDer).revoked)
    if ((await storage.certificates.revocationOf(serialNumber)) === null)
      forgotten.push(serialNumber)
  return forgotten
}
