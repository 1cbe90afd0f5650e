import { createHash } from 'node:crypto'
import type { AnyScope } from '../../src/authority/scope.ts'
import { integer, octetString, sequence } from '../../src/x509/asn1.ts'

/** Returns an OCSP request (DER) about a certificate of a scope. `serial` in hex. */
export function ocspRequestFor(scope: AnyScope, serial: string): Buffer {
  const sha1 = (octets: Buffer) => octetString(createHash('sha1').update(octets).digest())
  const spki = scope.intermediate.publicKey.export({ type: 'spki', format: 'der' })
  const certId = sequence(
    sequence(Buffer.from('06052b0e03021a', 'hex')),
    sha1(scope.issuerName),
    // The key of P-256 is the last 65 octets.
    sha1(spki.subarray(-65)),
    integer(Buffer.from(serial, 'hex')),
  )
  return sequence(sequence(sequence(sequence(certId))))
}
