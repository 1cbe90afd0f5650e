import { describeRecord, type DescribedRecord } from '../certificates/describe-record.ts'
import type { Constraints } from '../x509/foreign-extensions.ts'
import type { Name } from '../x509/foreign-names.ts'
import { daysLeft } from '../x509/profiles.ts'
import type { Revocation } from '../x509/revocation.ts'
import type { ShowFinding } from './findings.ts'
import { describeFinding, type FindingText } from './messages.ts'
import type { Shown, ShownCertificate, ShowTarget } from './show.ts'

/** What was found at a target, as JSON can hold it. */
export interface Inspected {
  /** `file`: a file, or the contents of one; `record`: a serial number on record here. */
  readonly from: ShowTarget['from']
  /** The record of that serial number; `null`: none was asked for. */
  readonly record: DescribedRecord | null
  /** The revocation of `record`; `null`: none is known here. */
  readonly revocation: Revocation | null
  /** In their order; empty: there is none, or the file of `record` is gone. */
  readonly certificates: readonly InspectedCertificate[]
  /** What a file holds beside certificates. */
  readonly objects: readonly InspectedObject[]
}

/** A certificate, and who refuses it. Times are in ISO 8601, UTC. */
export interface InspectedCertificate {
  /** An authority that signed itself is a `root`. */
  readonly role: 'leaf' | 'intermediate' | 'root'
  /** The scope of this machine that it belongs to; `null`: it is of another authority. */
  readonly scope: string | null
  /** `incomplete`: an intermediate is left out; `unknown`: the issuer is not known here. */
  readonly chain: 'complete' | 'incomplete' | 'unknown'
  /** Whether the record of this machine has it. */
  readonly issuedHere: boolean
  /** `null`: none is known here. */
  readonly revocation: Revocation | null
  /** Such as `O=Example, CN=example.test`; empty where it has none. */
  readonly subject: string
  /** The subject of who signed it. */
  readonly issuer: string
  /** The common names of the subject, which clients do not look at. */
  readonly commonNames: readonly string[]
  /** The subjectAltName; `null`: it has none. */
  readonly names: readonly Name[] | null
  /** Its first second. */
  readonly notBefore: string
  /** Its last second. */
  readonly notAfter: string
  /** Whole days until `notAfter`; negative when it has passed. */
  readonly daysLeft: number
  /** Such as `P-256` or `RSA 2048`. */
  readonly key: string
  /** Such as `ecdsa-with-SHA256`, or a dotted identifier. */
  readonly signatureAlgorithm: string
  /** Whether its own key signed it. */
  readonly selfSigned: boolean
  /** Whether it may sign others. */
  readonly ca: boolean
  /** How many intermediates may be below it; `null`: any number, or it is no CA. */
  readonly pathLength: number | null
  /** Names of RFC 5280 §4.2.1.3; `null`: the extension is absent. */
  readonly keyUsage: readonly string[] | null
  /** Names of RFC 5280 §4.2.1.12; `null`: the extension is absent. */
  readonly extKeyUsage: readonly string[] | null
  /** Whether it says which key of its issuer signed it. */
  readonly hasAuthorityKeyIdentifier: boolean
  /** `null`: it has none. */
  readonly nameConstraints: Constraints | null
  /** Where OCSP is answered. */
  readonly ocspUrls: readonly string[]
  /** Where its CRL is. */
  readonly crlUrls: readonly string[]
  /** The critical extensions that no client knows: dotted identifiers. */
  readonly unknownCritical: readonly string[]
  /** Lower-case hex. */
  readonly serialNumber: string
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  /** What some client refuses, the gravest first; empty: nothing that is known here. */
  readonly findings: readonly Refusal[]
}

/** Something about a certificate that some client refuses. */
export interface Refusal extends FindingText {
  /** Keeps its meaning across releases; all are in `src/doctor/findings.ts`. */
  readonly code: ShowFinding['code']
}

/** What a file holds beside certificates, by its `type`. */
export type InspectedObject = InspectedRequest | InspectedKey | InspectedCrl | InspectedOcspResponse

/** A certification request (RFC 2986). */
export interface InspectedRequest {
  /** Tells it from the other kinds. */
  readonly type: 'request'
  /** Such as `O=Example, CN=example.test`; empty where it has none. */
  readonly subject: string
  /** The names that are asked for; `null`: none is. */
  readonly names: readonly Name[] | null
  /** Such as `P-256` or `RSA 2048`. */
  readonly key: string
  /** Why `rootling issue --csr` would not sign it; `null`: it would. */
  readonly refused: string | null
}

/** The public facts of a private key. */
export interface InspectedKey {
  /** Tells it from the other kinds. */
  readonly type: 'key'
  /** Whether a password protects it. */
  readonly encrypted: boolean
  /** Such as `P-256`; `null`: it was not opened. */
  readonly key: string | null
  /** SHA-256 of the SubjectPublicKeyInfo, lower-case hex; `null`: it was not opened. */
  readonly publicKeyFingerprint: string | null
}

/** A list of revoked certificates (RFC 5280 §5). */
export interface InspectedCrl {
  /** Tells it from the other kinds. */
  readonly type: 'crl'
  /** The name of who signed it. */
  readonly issuer: string
  /** The scope of this machine that signed it; `null`: another authority did. */
  readonly scope: string | null
  /** ISO 8601, UTC. */
  readonly thisUpdate: string
  /** ISO 8601, UTC; `null`: it does not say. */
  readonly nextUpdate: string | null
  /** Decimal; `null`: it has none. */
  readonly crlNumber: string | null
  /** Each revoked certificate. */
  readonly revoked: readonly {
    /** Lower-case hex. */
    readonly serialNumber: string
    /** ISO 8601, UTC. */
    readonly revocationDate: string
    /** A name of RFC 5280 §5.3.1. */
    readonly reason: string
  }[]
}

/** A response about the status of certificates (RFC 6960). */
export interface InspectedOcspResponse {
  /** Tells it from the other kinds. */
  readonly type: 'ocsp'
  /** `successful`, or why it says nothing of a certificate. */
  readonly responseStatus: string
  /** The responder's name, or the SHA-1 of its key in hex; `null`: it is not signed. */
  readonly responder: string | null
  /** The scope of this machine that signed it; `null`: another authority did. */
  readonly scope: string | null
  /** ISO 8601, UTC; `null`: it is not signed. */
  readonly producedAt: string | null
  /** What it says of each certificate. */
  readonly statuses: readonly {
    /** Lower-case hex. */
    readonly serialNumber: string
    /** `unknown`: the responder does not know it. */
    readonly status: 'good' | 'revoked' | 'unknown'
    /** ISO 8601, UTC; `null`: it is not revoked. */
    readonly revocationDate: string | null
    /** A name of RFC 5280 §5.3.1; `null`: it is not revoked. */
    readonly reason: string | null
    /** ISO 8601, UTC. */
    readonly thisUpdate: string
    /** ISO 8601, UTC; `null`: newer ones are there at any time. */
    readonly nextUpdate: string | null
  }[]
}

/** What `JSON.parse` returns for what `JSON.stringify` made of a value. */
type InJson<T> = T extends Date
  ? string
  : T extends readonly (infer Item)[]
    ? readonly InJson<Item>[]
    : T extends object
      ? { readonly [Key in keyof T]: InJson<T[Key]> }
      : T

const inJson = <T>(value: T): InJson<T> => JSON.parse(JSON.stringify(value)) as InJson<T>

/** Returns what `show` found as `--json` prints it. */
export function inspectionOf(from: ShowTarget['from'], shown: Shown, now: Date): Inspected {
  const { record, revocation, certificates, objects } = shown
  return {
    from,
    record: record === null ? null : describeRecord(record),
    revocation,
    certificates: certificates.map((certificate) => certificateInJson(certificate, now)),
    objects: inJson(objects),
  }
}

function certificateInJson(shown: ShownCertificate, now: Date): InspectedCertificate {
  const { facts, record, findings, ...rest } = shown
  const { der: _der, key, repeatedExtensions: _repeated, unusedBitsSet: _unused, ...said } = facts
  return {
    ...rest,
    ...said,
    notBefore: facts.notBefore.toISOString(),
    notAfter: facts.notAfter.toISOString(),
    key: key.name,
    daysLeft: daysLeft(facts.notAfter, now),
    issuedHere: record !== null,
    findings: findings.map((finding) => ({ code: finding.code, ...describeFinding(finding) })),
  }
}
