import { randomBytes, type KeyObject } from 'node:crypto'
import { bitString, explicit, integer, sequence, set, time, utf8String } from './asn1.ts'
import { signatureAlgorithmOf, signDer, type SignatureAlgorithm } from './keys.ts'
import { oids } from './oids.ts'

/** An issuer: its name and key identifier, and what signs with its private key. */
export interface Signer {
  /** The issuer's subject, as DER. */
  readonly name: Buffer
  /** The issuer's subjectKeyIdentifier. */
  readonly keyIdentifier: Buffer
  readonly algorithm: SignatureAlgorithm
  /** Returns the signature of some octets; a promise where the key is kept elsewhere. */
  readonly sign: (octets: Buffer) => Buffer | Promise<Buffer>
}

/**
 * Returns the algorithm of a private key and a function that signs with the key; `null`: this
 * library does not sign with such a key.
 */
export function signWith(key: KeyObject): Pick<Signer, 'algorithm' | 'sign'> | null {
  const algorithm = signatureAlgorithmOf(key)
  return algorithm && { algorithm, sign: (octets) => signDer(octets, algorithm, key) }
}

export interface CertificateFields {
  readonly serialNumber: Buffer
  /** DER. */
  readonly subject: Buffer
  readonly notBefore: Date
  readonly notAfter: Date
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Buffer
  /** Complete extensions, DER, in the order in which they are written. */
  readonly extensions: readonly Buffer[]
}

const version3 = explicit(0, integer(2))

/** Signs a certificate (RFC 5280 §4.1) and returns its DER. */
export function signCertificate(fields: CertificateFields, signer: Signer): Promise<Buffer> {
  const tbs = sequence(
    version3,
    integer(fields.serialNumber),
    signer.algorithm.identifier,
    signer.name,
    sequence(time(fields.notBefore), time(fields.notAfter)),
    fields.subject,
    fields.spki,
    explicit(3, sequence(...fields.extensions)),
  )
  return signed(tbs, signer)
}

/**
 * Signs `tbs`, the part to be signed, and returns SIGNED{}: that part, the algorithm and the
 * signature.
 */
export async function signed(tbs: Buffer, signer: Signer): Promise<Buffer> {
  const signature = await signer.sign(tbs)
  return sequence(tbs, signer.algorithm.identifier, bitString(signature))
}

/**
 * Returns a serial number of 16 random octets, positive and without a leading zero octet (RFC 5280
 * §4.1.2.2 allows 20).
 */
export function randomSerialNumber(): Buffer {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes
}

/** Encodes a distinguished name of an organization and, unless it is `null`, a common name. */
export function distinguishedName(organization: string, commonName: string | null): Buffer {
  const attribute = (type: Buffer, text: string) => set(sequence(type, utf8String(text)))
  return sequence(
    attribute(oids.organizationName, organization),
    ...(commonName === null ? [] : [attribute(oids.commonName, commonName)]),
  )
}
