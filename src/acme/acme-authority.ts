import { X509Certificate } from 'node:crypto'
import { scopeFor } from '../authority/coverage.ts'
import { scopesInPart, type AnyScope } from '../authority/scope.ts'
import { createIssuer, type PreparedLeaf, type Recording } from '../certificates/issuer.ts'
import { namesWarnings } from '../certificates/names.ts'
import { revoke } from '../certificates/revoke.ts'
import { RootlingError } from '../errors.ts'
import { selfSignedScope } from '../storage/records.ts'
import type { Storage } from '../storage/storage.ts'
import type { Identifier } from '../x509/identifier.ts'
import { fingerprintOf, isIssuedBy } from '../x509/parsed-certificate.ts'
import { encodePem } from '../x509/pem.ts'
import { parseValidity, type Validity } from '../x509/profiles.ts'
import type { RevocationReason } from '../x509/revocation.ts'

interface AcmeIssueRequest {
  readonly identifiers: readonly Identifier[]
  /** The public key (SubjectPublicKeyInfo, DER), and its type, as `readRequest` gives them. */
  readonly spki: Buffer
  readonly keyType: string
  /** The lifetime, used when `dates` is `null`. */
  readonly days: number
  /** The exact validity, to the second. */
  readonly dates: Validity | null
}

export interface IssuedCertificate {
  /** Lower-case hex. */
  readonly serialNumber: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** PEM. */
  readonly leaf: string
  readonly issuers: string
  /** The key identifier of the issuer, hex. */
  readonly issuerKeyIdentifier: string
  /** It does not exist before it is recorded. */
  readonly recording: Recording
}

/** A certificate on record, whoever asked for it. */
interface RecordedCertificate {
  readonly validity: Validity
  readonly isRevoked: boolean
  /** The key identifier of its scope's current issuer, hex; `null`: the scope was forgotten. */
  readonly currentIssuer: string | null
}

/** What the ACME server asks of the certificate authority. */
export interface AcmeAuthority {
  /**
   * Checks whether `sign` would succeed. Throws what `sign` would throw: `not-permitted`,
   * `bad-name`, `usage` (dates), `no-authority`.
   */
  check(identifiers: readonly Identifier[], dates: Validity | null): Promise<void>
  /** Signs a certificate, which is to be recorded before anybody gets it. */
  sign(request: AcmeIssueRequest): Promise<IssuedCertificate>
  /** `serialNumber` in lower-case hex; `null`: it is not on record. */
  find(serialNumber: string): Promise<RecordedCertificate | null>
  /**
   * Revokes a certificate; `false` when it was revoked before. Throws `usage` for a certificate
   * that was not issued here.
   */
  revoke(certificate: Buffer, reason: RevocationReason): Promise<boolean>
  /** The certificates of the issuers, also those that a rotation replaced, by key identifier in hex. */
  issuers(): Promise<ReadonlyMap<string, X509Certificate>>
}

export interface AcmeAuthorityOptions {
  /** What the authority knows. */
  readonly storage: Storage
  readonly now: () => Date
  /** The URL where OCSP and the CRL are served; certificates name it. */
  readonly revocationUrl?: string | undefined
  /**
   * Whether certificates of seven days and less name no such URL, and say so by noRevAvail (RFC
   * 9608).
   */
  readonly shortLives?: boolean | undefined
}

/** Creates the ACME server's access to an authority. */
export function createAcmeAuthority(options: AcmeAuthorityOptions): AcmeAuthority {
  const { storage, now, revocationUrl, shortLives = false } = options
  const { certificates } = storage
  const issuer = createIssuer(storage, now)

  return {
    async check(identifiers, dates) {
      namesWarnings(identifiers, false)
      const scope = scopeFor(await issuer.scopes(), identifiers)
      const end = scope.validity.notAfter
      if (dates !== null && dates.notAfter > end)
        throw new RootlingError('usage', `The issuer ends before that, on ${end.toISOString()}.`)
    },
    async sign({ identifiers, spki, keyType, days, dates }) {
      const purpose = 'server' as const
      const lifetime = dates ?? days
      const responder =
        revocationUrl === undefined ? {} : { revocationUrl, responder: 'daemon' as const }
      const noRevAvail = shortLives ? ('short' as const) : undefined
      const request = { identifiers, purpose, spki, keyType, lifetime, noRevAvail, ...responder }
      return certificateOf(await issuer.prepare(request))
    },
    async find(serialNumber) {
      const found = await certificates.find(serialNumber)
      if (found === null || found.certificate.scope === selfSignedScope) return null
      const { certificate, revocation } = found
      const scope = (await issuer.scopes()).find(({ name }) => name === certificate.scope)
      return {
        validity: parseValidity(certificate),
        isRevoked: revocation !== null,
        currentIssuer: scope?.issuerKeyIdentifier.toString('hex') ?? null,
      }
    },
    async revoke(target, reason) {
      // A change is alone in the whole storage, so none begins for a stranger's certificate.
      const certificate = new X509Certificate(target)
      const entry = await certificates.findByFingerprint(fingerprintOf(certificate))
      const isOurs = ({ intermediate }: AnyScope): boolean => isIssuedBy(certificate, intermediate)
      if (entry === null && !(await issuer.scopes()).some(isOurs))
        throw new RootlingError('usage', 'This certificate was not issued here.')
      return (await revoke(storage, { target, reason, now: now() })).changed
    },
    issuers: async () =>
      new Map(
        [...(await scopesInPart(storage, '.old')), ...(await issuer.scopes())].map((scope) => [
          scope.issuerKeyIdentifier.toString('hex'),
          scope.intermediate,
        ]),
      ),
  }
}

function certificateOf({ leaf, scope, recording }: PreparedLeaf): IssuedCertificate {
  const { facts, der, issuers } = leaf
  return {
    serialNumber: facts.serialNumber,
    notBefore: new Date(facts.notBefore),
    notAfter: new Date(facts.notAfter),
    leaf: encodePem('CERTIFICATE', der),
    issuers,
    issuerKeyIdentifier: scope.issuerKeyIdentifier.toString('hex'),
    recording,
  }
}
