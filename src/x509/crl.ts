import { explicit, integer, sequence, time } from './asn1.ts'
import { signed, type Signer } from './certificate.ts'
import { authorityKeyIdentifier, crlNumber } from './extensions.ts'

export interface CrlFields {
  readonly thisUpdate: Date
  readonly nextUpdate: Date
  /** Monotonic over an issuer's life (RFC 5280 §5.2.3). */
  readonly crlNumber: number
}

/** A signed v2 CertificateList (RFC 5280 §5.1) without entries, DER. */
export function signEmptyCrl(fields: CrlFields, signer: Signer): Buffer {
  const tbs = sequence(
    integer(1),
    signer.algorithm.identifier,
    signer.name,
    time(fields.thisUpdate),
    time(fields.nextUpdate),
    explicit(
      0,
      sequence(authorityKeyIdentifier(signer.keyIdentifier), crlNumber(fields.crlNumber)),
    ),
  )
  return signed(tbs, signer)
}
