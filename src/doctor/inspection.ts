import { describeRecord, type DescribedRecord } from '../certificates/describe-record.ts'
import type { Constraints } from '../x509/foreign-extensions.ts'
import type { Name } from '../x509/foreign-names.ts'
import { daysLeft } from '../x509/profiles.ts'
import type { Revocation } from '../x509/revocation.ts'
import type { ShowFinding } from './findings.ts'
import { describeFinding, type FindingText } from './messages.ts'
import type { ShownObject } from './objects.ts'
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
  /** What it is in its chain. */
  readonly role: 'leaf' | 'intermediate' | 'root'
  /** The scope of this machine that it belongs to; `null`: it is of another authority. */
  readonly scope: string | null
  /** `incomplete`: an intermediate is left out; `unknown`: the issuer is not known here. */
  readonly chain: 'complete' | 'incomplete' | 'unknown'
  /** Whether it is on record here. */
  readonly issuedHere: boolean
  /** Its revocation; `null`: none is known here. */
  readonly revocation: Revocation | null
  /** Such as `O=Example, CN=example.test`; empty where it has none. */
  readonly subject: string
  /** The subject of its issuer. */
  readonly issuer: string
  /** The common names in its subject. */
  readonly commonNames: readonly string[]
  /** The subjectAltName; `null`: it has none. */
  readonly names: readonly Name[] | null
  /** When it begins. */
  readonly notBefore: string
  /** When it ends. */
  readonly notAfter: string
  /** Whole days until `notAfter`; negative when it has passed. */
  readonly daysLeft: number
  /** Such as `P-256` or `RSA 2048`. */
  readonly key: string
  /** How its issuer signed it. */
  readonly signatureAlgorithm: string
  /** Whether its own key signed it. */
  readonly selfSigned: boolean
  /** Whether it may sign certificates, by basicConstraints. */
  readonly ca: boolean
  /** How many intermediates may be below it; `null`: any number, or it is no CA. */
  readonly pathLength: number | null
  /** The names of RFC 5280; `null`: the extension is absent. */
  readonly keyUsage: readonly string[] | null
  /** The names of RFC 5280, of others the dotted identifiers; `null`: the extension is absent. */
  readonly extKeyUsage: readonly string[] | null
  /** Whether it names the key of its issuer. */
  readonly hasAuthorityKeyIdentifier: boolean
  /** The names that certificates below it may have; `null`: it limits none. */
  readonly nameConstraints: Constraints | null
  /** Where its issuer answers by OCSP. */
  readonly ocspUrls: readonly string[]
  /** Where the CRL of its issuer is. */
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
  /** What is refused, for a program. */
  readonly code: ShowFinding['code']
}

/**
 * A request, a private key (its public facts), a CRL or an OCSP response.
 *
 * @useDeclaredType
 */
export type InspectedObject = InJson<ShownObject>

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
