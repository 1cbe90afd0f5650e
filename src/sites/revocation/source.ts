import { scopesIn, type AnyScope } from '../../authority/scope.ts'
import { openSigner } from '../../authority/signer.ts'
import { makeCrl } from '../../certificates/crl.ts'
import { RootlingError } from '../../errors.ts'
import type { CertificateReader, ScopeReader, Storage } from '../../storage/storage.ts'
import { readCertificateParts } from '../../x509/certificate-reader.ts'
import type { Signer } from '../../x509/certificate.ts'
import {
  isIssuedBy,
  ocspError,
  parseOcspRequest,
  signOcspResponse,
  type CertId,
  type CertStatus,
  type OcspIssuer,
} from '../../x509/ocsp.ts'

const hour = 3_600_000
/** How long clients may keep an answer; short, so that they soon learn of a revocation. */
const answerLifetime = hour
/** The age at which a CRL is made anew. It is also made anew when a revocation of its scope changes. */
const crlMaximumAge = 24 * hour

/** Milliseconds after which scopes and keys are read again, to notice a key that others can read. */
const rereadAfter = 60_000

/** The answers of a responder, from a storage of which changes are seen at once. */
export interface RevocationSource {
  /**
   * Returns a complete OCSPResponse (DER) to any request, even a malformed one. Throws for a
   * damaged state.
   */
  answer(request: Buffer): Promise<Buffer>
  /** Returns the CRL of a scope (DER); `null` when there is no such scope. */
  crl(scopeName: string): Promise<Buffer | null>
}

interface Authority {
  readonly scope: AnyScope
  readonly issuer: OcspIssuer
  readonly signer: Signer
}

/** What the root of a scope said of its intermediate when it was made. */
interface StandingAnswer {
  readonly issuer: OcspIssuer
  /** The intermediate's, lower-case hex. */
  readonly serialNumber: string
  readonly response: Buffer
}

interface Snapshot {
  /** The version of the scopes, taken before they were read. */
  readonly version: string
  readonly until: number
  readonly authorities: readonly Authority[]
  readonly standing: readonly StandingAnswer[]
}

interface KeptCrl {
  /** A text that changes with what the CRL lists, taken before it was made. */
  readonly version: string
  readonly made: number
  readonly der: Promise<Buffer>
}

export function createRevocationSource(storage: Storage, now: () => Date): RevocationSource {
  const { certificates, scopes } = storage
  const crls = new Map<string, KeptCrl>()
  let latest: Snapshot | null = null
  const current = async (): Promise<Snapshot> => {
    // It is asked for before reading: a change in between is seen by the next request.
    const version = await scopes.version()
    if (latest?.version !== version || performance.now() > latest.until)
      latest = await read(storage, version, now())
    return latest
  }
  return {
    async answer(request) {
      let parsed
      try {
        parsed = parseOcspRequest(request)
      } catch (error) {
        if (error instanceof RootlingError) return ocspError('malformedRequest')
        throw error
      }
      const snapshot = await current()
      const { certIds, nonce } = parsed
      const authority = snapshot.authorities.find(({ issuer }) =>
        certIds.some((certId) => isIssuedBy(certId, issuer)),
      )
      // RFC 6960 §2.3: no issuer here has issued any of these certificates.
      if (authority === undefined)
        return standingAnswer(snapshot, certIds) ?? ocspError('unauthorized')
      const thisUpdate = now()
      const nextUpdate = new Date(thisUpdate.getTime() + answerLifetime)
      const statuses = await Promise.all(
        certIds.map(
          async (certId) => [certId, await statusOf(certId, authority, certificates)] as const,
        ),
      )
      const answer = { statuses, nonce, thisUpdate, nextUpdate }
      return signOcspResponse(answer, authority.issuer, authority.signer)
    },
    async crl(scopeName) {
      const { authorities, version: ofScopes } = await current()
      if (!authorities.some(({ scope }) => scope.name === scopeName)) return null
      const version = `${ofScopes}, ${await certificates.revocationsVersion(scopeName)}`
      const kept = crls.get(scopeName)
      const at = now()
      const isYoung = Math.abs(at.getTime() - (kept?.made ?? 0)) < crlMaximumAge
      if (kept?.version === version && isYoung) return kept.der
      const der = makeCrl(storage, scopeName, at)
      crls.set(scopeName, { version, made: at.getTime(), der })
      der.catch(() => crls.delete(scopeName))
      return der
    },
  }
}

/** Returns the answer to a question about an intermediate alone; `null`: there is none. */
function standingAnswer({ standing }: Snapshot, certIds: readonly CertId[]): Buffer | null {
  const [certId, ...more] = certIds
  if (certId === undefined || more.length > 0) return null
  const found = standing.find(
    ({ issuer, serialNumber }) =>
      certId.serialNumber === serialNumber && isIssuedBy(certId, issuer),
  )
  return found?.response ?? null
}

async function readStanding(scopes: ScopeReader, scope: AnyScope): Promise<StandingAnswer | null> {
  const response = await scopes.rootOcsp(scope.name)
  if (response === null) return null
  const { subject } = readCertificateParts(scope.root.raw)
  const spki = scope.root.publicKey.export({ type: 'spki', format: 'der' })
  const serialNumber = scope.intermediate.serialNumber.toLowerCase()
  return { issuer: { name: subject.der, spki }, serialNumber, response }
}

async function statusOf(
  certId: CertId,
  { scope, issuer }: Authority,
  certificates: CertificateReader,
): Promise<CertStatus> {
  const entry = isIssuedBy(certId, issuer) ? await certificates.find(certId.serialNumber) : null
  if (entry?.certificate.scope !== scope.name) return { status: 'unknown' }
  if (entry.revocation === null) return { status: 'good' }
  const { reason, revokedAt } = entry.revocation
  return { status: 'revoked', reason, revocationTime: new Date(revokedAt) }
}

async function read(storage: Storage, version: string, now: Date): Promise<Snapshot> {
  const until = performance.now() + rereadAfter
  const authorities: Authority[] = []
  const standing: StandingAnswer[] = []
  for (const scope of await scopesIn(storage)) {
    // An expired authority cannot sign answers, and must not keep the others from doing so.
    if (scope.validity.notAfter <= now) continue
    const spki = scope.intermediate.publicKey.export({ type: 'spki', format: 'der' })
    const signer = await openSigner(storage.keys, scope, now)
    authorities.push({ scope, issuer: { name: scope.issuerName, spki }, signer })
    const answer = await readStanding(storage.scopes, scope)
    if (answer !== null) standing.push(answer)
  }
  return { version, until, authorities, standing }
}
