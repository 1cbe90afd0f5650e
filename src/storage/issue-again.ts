import { shellWord } from '../shell-word.ts'
import { selfSignedScope, type CertificateRecord } from './records.ts'

/*
 * Commands for hints that people paste, each with the certificate that it is about.
 */

/** The command that issues a certificate for the same names, purpose and subject. */
export const issueAgain = ({
  identifiers,
  purpose,
  subject,
}: Pick<CertificateRecord, 'identifiers' | 'purpose'> & {
  readonly subject?: string | undefined
}): string =>
  [
    'rootling issue',
    ...identifiers.map(({ value }) => shellWord(value)),
    ...(purpose === 'client' ? ['--client'] : []),
    ...(subject === undefined ? [] : ['--subject', shellWord(subject)]),
  ].join(' ')

/** The files of a certificate, as a command names them. */
type Files = Pick<CertificateRecord, 'certPath' | 'keyPath'>

/**
 * The command that issues a certificate again in the files where it was, or in `files`, from any
 * working directory. Where the key was that of a certification request, a person must name the
 * request.
 */
export const issueInFiles = (
  record: CertificateRecord,
  { certPath, keyPath }: Files = record,
): string =>
  [
    issueAgain(record),
    ...scopeOptions(record),
    ...(keyPath === null ? ['--csr FILE'] : []),
    ...(certPath === null ? [] : ['--cert-file', shellWord(certPath)]),
    ...(keyPath === null ? [] : ['--key-file', shellWord(keyPath)]),
  ].join(' ')

/** The option by which the same scope signs, where another one would by default. */
function scopeOptions({ scope }: CertificateRecord): string[] {
  if (scope === selfSignedScope) return ['--self-signed']
  return /^(?:local|clients|mail)$/.test(scope) ? [] : ['--scope', shellWord(scope)]
}
