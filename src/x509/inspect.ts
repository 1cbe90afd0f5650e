import { createHash, X509Certificate, type KeyObject } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'
import { expectOid, expectSequence, unexpected, type DerValue } from './asn1-reader.ts'
import { extensionOf, readLenientParts } from './certificate-reader.ts'
import {
  readAccess,
  readBasicConstraints,
  readConstraints,
  readExtKeyUsage,
  readKeyUsage,
  readPoints,
  type Constraints,
} from './foreign-extensions.ts'
import { attributes, nameText, readName, type Name } from './foreign-names.ts'
import { isSignedBy } from './parsed-certificate.ts'
import { pemBlocks } from './pem.ts'
import { readAnyTime } from './status-texts.ts'

/** The facts of any certificate. Texts hold no control characters. */
export interface CertificateFacts {
  readonly der: Buffer
  /** SHA-256 of the DER, hex. */
  readonly fingerprint: string
  /** Lower-case hex of whole octets, after a minus sign if the number is negative. */
  readonly serialNumber: string
  /** Such as `O=Example, CN=example.test`; empty where the certificate has none. */
  readonly subject: string
  readonly issuer: string
  readonly commonNames: readonly string[]
  readonly notBefore: Date
  readonly notAfter: Date
  readonly key: KeyFacts
  /** Such as `ecdsa-with-SHA256`, or a dotted object identifier. */
  readonly signatureAlgorithm: string
  readonly selfSigned: boolean
  /** The names of the subjectAltName; `null`: the certificate has no such extension. */
  readonly names: readonly Name[] | null
  readonly ca: boolean
  /** How many intermediates may be below this CA; `null`: any number. */
  readonly pathLength: number | null
  /** Names of RFC 5280 §4.2.1.3 and §4.2.1.12; `null`: the extension is absent. */
  readonly keyUsage: readonly string[] | null
  readonly extKeyUsage: readonly string[] | null
  readonly hasAuthorityKeyIdentifier: boolean
  readonly nameConstraints: Constraints | null
  readonly ocspUrls: readonly string[]
  readonly crlUrls: readonly string[]
  /** Critical extensions that this library does not know: dotted identifiers. */
  readonly unknownCritical: readonly string[]
  /** Extensions that occur more than once: dotted identifiers. Of each the first was read. */
  readonly repeatedExtensions: readonly string[]
  /** Whether keyUsage sets bits that it says are unused, which DER forbids (X.690 §11.2.1). */
  readonly unusedBitsSet: boolean
}

interface KeyFacts {
  /** `P-256`, `RSA 2048`, `Ed25519`, … */
  readonly name: string
  /** The size of an RSA key; `null`: it is another key, or this runtime cannot read it. */
  readonly rsaBits: number | null
}

const what = 'The certificate'
/**
 * The most certificates in one file. A file of more is a bundle of roots, and nobody reads an
 * explanation of each.
 */
const mostCertificates = 64

/**
 * Returns the certificates in a file's contents as DER, in order. The file holds PEM blocks, or one
 * certificate in DER. `name` begins the sentence of the error. Throws `bad-certificate`.
 */
export function certificatesIn(contents: Buffer, name: string): Buffer[] {
  const blocks = pemBlocks(contents.toString('latin1'))
  const found = blocks
    .filter(({ label }) => /^(?:X509 )?CERTIFICATE$/.test(label))
    .map(({ der }) => der)
  if (found.length > mostCertificates)
    throw new RootlingError('bad-certificate', `${name} holds ${found.length} certificates.`, {
      hint: `Name a file of at most ${mostCertificates}`,
    })
  if (found.length > 0) return found
  const other = blocks[0]?.label
  if (other === undefined && contents[0] === 0x30) return [contents]
  const instead = other === undefined ? '' : `, but a ${printable(other).slice(0, 40)}`
  throw new RootlingError('bad-certificate', `${name} holds no certificate${instead}.`, {
    hint: 'Name a certificate in PEM or DER form',
  })
}

/** Reads the facts of a certificate. Throws `bad-certificate` or `bad-der` for anything else. */
export function inspectCertificate(der: Buffer): CertificateFacts {
  const certificate = open(der)
  const parts = readLenientParts(der)
  const { subject, issuer, signatureAlgorithm } = parts
  const { notBefore, notAfter } = readValidity(parts.validity)
  const algorithmOid = expectOid(expectSequence(signatureAlgorithm, what)[0], what)
  const altNames = extensionOf(parts, '2.5.29.17')
  const basic = extensionOf(parts, '2.5.29.19')
  const constraints = extensionOf(parts, '2.5.29.30')
  const serial = certificate.serialNumber.toLowerCase()
  return {
    der,
    fingerprint: createHash('sha256').update(der).digest('hex'),
    serialNumber: serial === '0' ? '00' : serial,
    subject: nameText(subject),
    issuer: nameText(issuer),
    commonNames: attributes(subject).flatMap(([type, value]) => (type === 'CN' ? [value] : [])),
    notBefore,
    notAfter,
    key: keyFacts(certificate),
    signatureAlgorithm: signatureNames[algorithmOid] ?? algorithmOid,
    selfSigned: issuer?.der.equals(subject.der) === true && isSignedBy(certificate, certificate),
    names: altNames === null ? null : expectSequence(altNames, what).map(readName),
    ...readBasicConstraints(basic),
    ...readKeyUsage(extensionOf(parts, '2.5.29.15')),
    repeatedExtensions: parts.repeated,
    extKeyUsage: readExtKeyUsage(extensionOf(parts, '2.5.29.37')),
    hasAuthorityKeyIdentifier: parts.extensions.has('2.5.29.35'),
    nameConstraints: constraints === null ? null : readConstraints(constraints),
    ocspUrls: readAccess(extensionOf(parts, '1.3.6.1.5.5.7.1.1')),
    crlUrls: readPoints(extensionOf(parts, '2.5.29.31')),
    unknownCritical: [...parts.extensions].flatMap(([oid, { critical }]) =>
      critical && !knownExtensions.has(oid) ? [oid] : [],
    ),
  }
}

function open(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der)
  } catch (cause) {
    throw new RootlingError(
      'bad-certificate',
      'The certificate is damaged, or it is not a certificate.',
      {
        hint: 'openssl x509 -in FILE -noout -text',
        cause,
      },
    )
  }
}

/** The extensions that this library or node:crypto understands (RFC 5280 §4.2). */
const knownExtensions = new Set([
  ...['14', '15', '17', '18', '19', '30', '31', '32', '35', '36', '37', '54'].map(
    (arc) => `2.5.29.${arc}`,
  ),
  '1.3.6.1.5.5.7.1.1',
])

const signatureNames: Readonly<Record<string, string>> = {
  '1.2.840.10045.4.1': 'ecdsa-with-SHA1',
  '1.2.840.10045.4.3.2': 'ecdsa-with-SHA256',
  '1.2.840.10045.4.3.3': 'ecdsa-with-SHA384',
  '1.2.840.10045.4.3.4': 'ecdsa-with-SHA512',
  '1.2.840.113549.1.1.2': 'md2WithRSAEncryption',
  '1.2.840.113549.1.1.4': 'md5WithRSAEncryption',
  '1.2.840.113549.1.1.5': 'sha1WithRSAEncryption',
  '1.2.840.113549.1.1.10': 'rsassaPss',
  '1.2.840.113549.1.1.11': 'sha256WithRSAEncryption',
  '1.2.840.113549.1.1.12': 'sha384WithRSAEncryption',
  '1.2.840.113549.1.1.13': 'sha512WithRSAEncryption',
  '1.3.101.112': 'Ed25519',
  '1.3.101.113': 'Ed448',
}

const curves: Readonly<Record<string, string>> = {
  prime256v1: 'P-256',
  secp384r1: 'P-384',
  secp521r1: 'P-521',
}

function keyFacts(certificate: X509Certificate): KeyFacts {
  let key: KeyObject
  try {
    key = certificate.publicKey
  } catch {
    return { name: 'of an unknown kind', rsaBits: null }
  }
  return keyFactsOf(key)
}

/** Returns the facts of a public key of any kind. */
export function keyFactsOf(key: KeyObject): KeyFacts {
  const { namedCurve, modulusLength = null } = key.asymmetricKeyDetails ?? {}
  switch (key.asymmetricKeyType) {
    case 'ec':
      return { name: curves[namedCurve ?? ''] ?? namedCurve ?? 'EC', rsaBits: null }
    case 'rsa':
    case 'rsa-pss':
      return { name: `RSA ${modulusLength}`, rsaBits: modulusLength }
    case 'ed25519':
    case 'ed448':
      return { name: key.asymmetricKeyType === 'ed25519' ? 'Ed25519' : 'Ed448', rsaBits: null }
    default:
      return { name: (key.asymmetricKeyType ?? 'unknown').toUpperCase(), rsaBits: null }
  }
}

function readValidity(value: DerValue | undefined): { notBefore: Date; notAfter: Date } {
  const [notBefore, notAfter, ...more] = expectSequence(value, what).map((time) =>
    readAnyTime(time, what),
  )
  if (notBefore === undefined || notAfter === undefined || more.length > 0)
    throw unexpected(what, 'two times')
  return { notBefore, notAfter }
}
