import {
  expectBoolean,
  expectExplicit,
  expectOctets,
  expectOid,
  expectSequence,
  isContext,
  readDer,
  unexpected,
  type DerValue,
} from './asn1-reader.ts'
import { readConstraints } from './foreign-extensions.ts'
import type { NameConstraints } from './name-constraints.ts'

/**
 * The parts of a certificate that node:crypto's X509Certificate does not give, as they are encoded.
 */
export interface CertificateParts {
  readonly issuer: DerValue | undefined
  readonly validity: DerValue | undefined
  readonly subject: DerValue
  /** The AlgorithmIdentifier beside the signature. */
  readonly signatureAlgorithm: DerValue | undefined
  /** The extensions by dotted object identifier; `value` is the DER inside the octet string. */
  readonly extensions: ReadonlyMap<string, { readonly critical: boolean; readonly value: Buffer }>
}

const what = 'The certificate'

/**
 * Takes a certificate apart (RFC 5280 §4.1). Throws `bad-der`, also where an extension occurs twice
 * (§4.2), since other programs might obey the second one.
 */
export function readCertificateParts(der: Buffer): CertificateParts {
  const { repeated, ...parts } = readLenientParts(der)
  if (repeated.length > 0) throw unexpected(what, 'each extension once')
  return parts
}

/**
 * Takes a certificate apart to explain it, not to trust it. Of an extension that occurs twice the
 * first is read; `repeated` are the identifiers of those. Throws `bad-der`.
 */
export function readLenientParts(
  der: Buffer,
): CertificateParts & { readonly repeated: readonly string[] } {
  const [tbs, signatureAlgorithm] = expectSequence(readDer(der, what), what)
  const fields = expectSequence(tbs, what)
  // The first field is the version, [0], except in certificates of version 1.
  const [issuer, validity, subject] = fields.slice(isContext(fields[0], 0) ? 3 : 2)
  if (subject === undefined) throw unexpected(what, 'a sequence')
  expectSequence(subject, what)
  const tagged = fields.find((field) => isContext(field, 3))
  const list = tagged === undefined ? [] : expectSequence(expectExplicit(tagged, 3, what), what)
  const found = list.map(readExtension)
  // Of equal keys a Map keeps the last.
  const extensions = new Map(found.toReversed())
  const repeated = new Set(found.map(([oid]) => oid).filter((oid, i, all) => all.indexOf(oid) < i))
  return { issuer, validity, subject, signatureAlgorithm, extensions, repeated: [...repeated] }
}

function readExtension(value: DerValue): [string, { critical: boolean; value: Buffer }] {
  const [oid, ...rest] = expectSequence(value, what)
  const critical = rest.length === 2 && expectBoolean(rest.shift(), what)
  if (rest.length !== 1) throw unexpected(what, 'an extension')
  return [expectOid(oid, what), { critical, value: expectOctets(rest[0], what) }]
}

/** Reads what an extension holds; `null`: the certificate does not have the extension. */
export function extensionOf({ extensions }: CertificateParts, oid: string): DerValue | null {
  const found = extensions.get(oid)
  return found === undefined ? null : readDer(found.value, what)
}

/** The subjectKeyIdentifier; `null`: the certificate has none. */
export function subjectKeyIdentifierOf(parts: CertificateParts): Buffer | null {
  const value = extensionOf(parts, '2.5.29.14')
  return value === null ? null : expectOctets(value, what)
}

/**
 * Reads the DNS names and address ranges that a CA certificate permits; `null`: the certificate may
 * sign any name. Permitted mailboxes and URIs are left out, and so are exclusions, which can only
 * make the permitted names fewer.
 */
export function nameConstraintsOf(parts: CertificateParts): NameConstraints | null {
  const value = extensionOf(parts, '2.5.29.30')
  if (value === null) return null
  const { permitted } = readConstraints(value)
  const ofType = (wanted: string): string[] =>
    permitted.flatMap(({ type, value: name }) => (type === wanted ? [name] : []))
  return { dns: ofType('dns'), ip: ofType('ip') }
}
