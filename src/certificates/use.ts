import type { CertificateRecord } from '../storage/records.ts'
import type { AuthorityUse } from '../x509/profiles.ts'

/** Which kind of certificate it is: one of e-mail addresses alone is for mail. */
export function useOf({
  purpose,
  identifiers,
}: Pick<CertificateRecord, 'purpose' | 'identifiers'>): Exclude<AuthorityUse, 'private'> {
  if (purpose === 'client') return 'clients'
  const mailOnly = identifiers.length > 0 && identifiers.every(({ type }) => type === 'email')
  return mailOnly ? 'mail' : 'servers'
}
