import {
  boolean,
  explicit,
  implicit,
  integer,
  namedBits,
  octetString,
  sequence,
  tlv,
} from './asn1.ts'
import type { Identifier } from './identifier.ts'
import { ipBytes } from './ip.ts'
import { encodeNameConstraints, type NameConstraints } from './name-constraints.ts'
import { oids } from './oids.ts'

const extension = (oid: Buffer, critical: boolean, value: Buffer): Buffer =>
  critical ? sequence(oid, boolean(true), octetString(value)) : sequence(oid, octetString(value))

/** keyUsage bits (RFC 5280 §4.2.1.3). */
export const keyUsageBits = {
  digitalSignature: 0,
  keyEncipherment: 2,
  keyAgreement: 4,
  keyCertSign: 5,
  cRLSign: 6,
}

/** Encodes a general name (RFC 5280 §4.2.1.6): an IA5String, or an address in octets. */
function generalName(identifier: Identifier): Buffer {
  switch (identifier.type) {
    case 'email':
      return implicit(1, Buffer.from(identifier.value, 'latin1'))
    case 'dns':
      return implicit(2, Buffer.from(identifier.value, 'latin1'))
    case 'uri':
      return implicit(6, Buffer.from(identifier.value, 'latin1'))
    case 'ip':
      return implicit(7, ipBytes(identifier.value))
  }
}

/**
 * Encodes basicConstraints. `ca: false` is the default value, so DER leaves it out, and the
 * sequence is empty. `pathLength: null`: the path length is left out.
 */
export const basicConstraints = (ca: boolean, pathLength: number | null): Buffer =>
  extension(
    oids.basicConstraints,
    true,
    ca
      ? sequence(boolean(true), ...(pathLength === null ? [] : [integer(pathLength)]))
      : sequence(),
  )
export const keyUsage = (bits: readonly number[]): Buffer =>
  extension(oids.keyUsage, true, namedBits(bits))
export const extKeyUsage = (purposes: readonly Buffer[]): Buffer =>
  extension(oids.extKeyUsage, false, sequence(...purposes))
export const subjectKeyIdentifier = (id: Buffer): Buffer =>
  extension(oids.subjectKeyIdentifier, false, octetString(id))
export const authorityKeyIdentifier = (id: Buffer): Buffer =>
  extension(oids.authorityKeyIdentifier, false, sequence(implicit(0, id)))
export const nameConstraints = (constraints: NameConstraints): Buffer =>
  extension(oids.nameConstraints, true, encodeNameConstraints(constraints))
/**
 * Encodes nameConstraints that also exclude every subject but the empty one. It is not critical,
 * since Go refuses a critical one with a directoryName in it.
 */
export const nameConstraintsWithoutSubjects = (constraints: NameConstraints): Buffer =>
  extension(oids.nameConstraints, false, encodeNameConstraints(constraints, 'no subjects'))
export const subjectAltName = (identifiers: readonly Identifier[], critical = false): Buffer =>
  extension(oids.subjectAltName, critical, sequence(...identifiers.map(generalName)))
/** Encodes the issuingDistributionPoint of a CRL for CA certificates alone (RFC 5280 §5.2.5). */
export const onlyContainsCaCerts = (): Buffer =>
  extension(oids.issuingDistributionPoint, true, sequence(implicit(2, Buffer.of(0xff))))
export const crlNumber = (value: number | Uint8Array): Buffer =>
  extension(oids.crlNumber, false, integer(value))

/** CRLReason numbers (RFC 5280 §5.3.1); 7 is not used, and `unspecified` is never written. */
export const reasonCodes = {
  unspecified: 0,
  keyCompromise: 1,
  affiliationChanged: 3,
  superseded: 4,
  cessationOfOperation: 5,
  certificateHold: 6,
  privilegeWithdrawn: 9,
} as const
export type ReasonName = keyof typeof reasonCodes
export const enumerated = (value: number): Buffer => tlv(0x0a, Buffer.of(value))
export const reasonCode = (reason: ReasonName): Buffer =>
  extension(oids.reasonCode, false, enumerated(reasonCodes[reason]))

/** The URLs where a certificate's status can be asked, all over plain HTTP (RFC 5280 §8). */
export interface RevocationUrls {
  readonly ocsp?: string | undefined
  readonly crl?: string | undefined
}
const uri = (url: string): Buffer => implicit(6, Buffer.from(url, 'latin1'))
export const authorityInfoAccess = (ocspUrl: string): Buffer =>
  extension(oids.authorityInfoAccess, false, sequence(sequence(oids.ocsp, uri(ocspUrl))))
/** Encodes one distribution point with a fullName (RFC 5280 §4.2.1.13). */
export const cRLDistributionPoints = (url: string): Buffer =>
  extension(
    oids.cRLDistributionPoints,
    false,
    sequence(sequence(explicit(0, explicit(0, uri(url))))),
  )

/** Encodes noRevAvail (RFC 9608 §2), whose value is NULL. */
export const noRevAvail = (): Buffer => extension(oids.noRevAvail, false, tlv(0x05))
