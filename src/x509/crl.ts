import { explicit, integer, sequence, time } from './asn1.ts'
import { signed, type Signer } from './certificate.ts'
import {
  authorityKeyIdentifier,
  crlNumber,
  onlyContainsCaCerts,
  reasonCode,
  type ReasonName,
} from './extensions.ts'

export interface CrlFields {
  readonly thisUpdate: Date
  readonly nextUpdate: Date
  /** Grows with each CRL that an issuer signs (RFC 5280 §5.2.3). */
  readonly crlNumber: number
  /** Whether the CRL speaks of CA certificates alone, and so of no leaf; default: of both. */
  readonly authoritiesOnly?: boolean
}

/** One line of a CRL (RFC 5280 §5.1.2.6). */
export interface RevokedCertificate {
  /** Big-endian octets. */
  readonly serialNumber: Buffer
  readonly revocationDate: Date
  readonly reason: ReasonName
}

/** Signs a v2 CertificateList (RFC 5280 §5.1) and returns its DER. */
export function signCrl(
  fields: CrlFields,
  revoked: readonly RevokedCertificate[],
  signer: Signer,
): Promise<Buffer> {
  const tbs = sequence(
    integer(1),
    signer.algorithm.identifier,
    signer.name,
    time(fields.thisUpdate),
    time(fields.nextUpdate),
    // When nothing is revoked, the list is left out: an empty one is not allowed.
    ...(revoked.length === 0 ? [] : [sequence(...revoked.map(entry))]),
    explicit(
      0,
      sequence(
        authorityKeyIdentifier(signer.keyIdentifier),
        crlNumber(fields.crlNumber),
        ...(fields.authoritiesOnly === true ? [onlyContainsCaCerts()] : []),
      ),
    ),
  )
  return signed(tbs, signer)
}

/** Signs a CRL without entries, as a root does before its key is dropped. */
export function signEmptyCrl(fields: CrlFields, signer: Signer): Promise<Buffer> {
  return signCrl(fields, [], signer)
}

/**
 * Encodes one entry. The reason `unspecified` is expressed by leaving the reason out (RFC 5280
 * §5.3.1).
 */
function entry({ serialNumber, revocationDate, reason }: RevokedCertificate): Buffer {
  return sequence(
    integer(serialNumber),
    time(revocationDate),
    ...(reason === 'unspecified' ? [] : [sequence(reasonCode(reason))]),
  )
}
