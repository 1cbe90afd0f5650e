import type { X509Certificate } from 'node:crypto'
import { scopeFor } from '../authority/coverage.ts'
import type { AnyScope } from '../authority/scope.ts'
import { createIssuer } from '../certificates/issuer.ts'
import type { Leaf } from '../certificates/leaf.ts'
import { namesWarnings } from '../certificates/names.ts'
import { revoke } from '../certificates/revoke.ts'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { fileStorage } from '../storage/files/storage.ts'
import type { Identifier } from '../x509/identifier.ts'
import { encodePem } from '../x509/pem.ts'
import type { Validity } from '../x509/profiles.ts'
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
  /**
   * Called with the signed certificate before it is recorded. Should the process die in between,
   * `isRecorded` says whether the certificate exists. Called again with another certificate when
   * the scopes have changed meanwhile.
   */
  readonly onSigned: (certificate: SignedCertificate) => Promise<void>
}

export interface SignedCertificate {
  /** Lower-case hex. */
  readonly serialNumber: string
  readonly notBefore: Date
  readonly notAfter: Date
  /** PEM. */
  readonly leaf: string
  readonly issuers: string
  /** The key identifier of the issuer, hex. */
  readonly issuerKeyIdentifier: string
}

/** What the ACME server asks of the certificate authority. */
export interface AcmeAuthority {
  /**
   * Checks whether `issue` would succeed. Throws what `issue` would throw: `not-permitted`,
   * `bad-name`, `usage` (dates), `no-authority`.
   */
  check(identifiers: readonly Identifier[], dates: Validity | null): Promise<void>
  /** Issues a certificate, and resolves when it is recorded. */
  issue(request: AcmeIssueRequest): Promise<void>
  isRecorded(serialNumber: string): Promise<boolean>
  /**
   * Revokes a certificate; `false` when it was revoked before. Throws `usage` for a certificate
   * that was not issued here.
   */
  revoke(certificate: Buffer, reason: RevocationReason): Promise<boolean>
  isRevoked(serialNumber: string): Promise<boolean>
  /** The certificates of the current issuers, by key identifier in hex. */
  issuers(): Promise<ReadonlyMap<string, X509Certificate>>
}

export interface AcmeAuthorityOptions {
  readonly state: StateDirectory
  readonly now: () => Date
  /** The URL where OCSP and the CRL are served; certificates name it. */
  readonly revocationUrl?: string | undefined
}

/** Creates the ACME server's access to the authority of a state directory. */
export function createAcmeAuthority(options: AcmeAuthorityOptions): AcmeAuthority {
  const { state, now, revocationUrl } = options
  const storage = fileStorage(state)
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
    async issue({ identifiers, spki, keyType, days, dates, onSigned }) {
      const purpose = 'server' as const
      const lifetime = dates ?? days
      const responder =
        revocationUrl === undefined ? {} : { revocationUrl, responder: 'daemon' as const }
      await issuer.sign(
        { identifiers, purpose, spki, keyType, lifetime, ...responder },
        { onSigned: (leaf, scope) => onSigned(certificateOf(leaf, scope)) },
      )
    },
    isRecorded: async (serialNumber) => (await certificates.find(serialNumber)) !== null,
    async revoke(target, reason) {
      return (await revoke(storage, { target, reason, now: now() })).changed
    },
    isRevoked: async (serialNumber) => (await certificates.revocationOf(serialNumber)) !== null,
    issuers: async () =>
      new Map(
        (await issuer.scopes()).map((scope) => [
          scope.issuerKeyIdentifier.toString('hex'),
          scope.intermediate,
        ]),
      ),
  }
}

function certificateOf({ facts, der, issuers }: Leaf, scope: AnyScope): SignedCertificate {
  return {
    serialNumber: facts.serialNumber,
    notBefore: new Date(facts.notBefore),
    notAfter: new Date(facts.notAfter),
    leaf: encodePem('CERTIFICATE', der),
    issuers,
    issuerKeyIdentifier: scope.issuerKeyIdentifier.toString('hex'),
  }
}
