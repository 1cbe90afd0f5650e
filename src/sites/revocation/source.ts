import { readScopes, type Scope } from '../../authority/scope.ts'
import { openSigner } from '../../authority/signer.ts'
import { makeCrl } from '../../certificates/crl.ts'
import { RootlingError } from '../../errors.ts'
import { stampOf } from '../../files/stamp.ts'
import type { StateDirectory } from '../../home/state-directory.ts'
import { readInventory, recordPath } from '../../storage/files/record.ts'
import { readStoredRootOcsp, stampOfScopes } from '../../storage/files/scopes.ts'
import type { Inventory } from '../../storage/records.ts'
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
/** The age at which a CRL is made anew. It is also made anew when the record changes. */
const crlMaximumAge = 24 * hour

/** The answers of a responder, from a state directory that is read anew whenever it has changed. */
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
  readonly scope: Scope
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
  /** A text that changes with the files, taken when they were read. */
  readonly stamp: string
  readonly authorities: readonly Authority[]
  readonly standing: readonly StandingAnswer[]
  readonly inventory: Inventory
  /** Serial number → the scope that signed it. */
  readonly issued: ReadonlyMap<string, string>
  readonly crls: Map<string, { readonly made: number; readonly der: Promise<Buffer> }>
}

export function createRevocationSource(state: StateDirectory, now: () => Date): RevocationSource {
  let latest: Snapshot | null = null
  const current = async (): Promise<Snapshot> => {
    // The stamp is taken before reading: a change in between is seen by the next request.
    const stamp = await stateStamp(state)
    if (latest?.stamp !== stamp) latest = await read(state, stamp, now())
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
      const statuses = certIds.map(
        (certId) => [certId, statusOf(certId, authority, snapshot)] as const,
      )
      const answer = { statuses, nonce, thisUpdate, nextUpdate }
      return signOcspResponse(answer, authority.issuer, authority.signer)
    },
    async crl(scopeName) {
      const { authorities, crls } = await current()
      if (!authorities.some(({ scope }) => scope.name === scopeName)) return null
      const kept = crls.get(scopeName)
      const at = now()
      if (kept !== undefined && Math.abs(at.getTime() - kept.made) < crlMaximumAge) return kept.der
      const der = makeCrl(state, scopeName, at)
      crls.set(scopeName, { made: at.getTime(), der })
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

async function readStanding(state: StateDirectory, scope: Scope): Promise<StandingAnswer | null> {
  const response = await readStoredRootOcsp(state, scope.name)
  if (response === null) return null
  const { subject } = readCertificateParts(scope.root.raw)
  const spki = scope.root.publicKey.export({ type: 'spki', format: 'der' })
  const serialNumber = scope.intermediate.serialNumber.toLowerCase()
  return { issuer: { name: subject.der, spki }, serialNumber, response }
}

function statusOf(
  certId: CertId,
  { scope, issuer }: Authority,
  { issued, inventory }: Snapshot,
): CertStatus {
  if (!isIssuedBy(certId, issuer) || issued.get(certId.serialNumber) !== scope.name)
    return { status: 'unknown' }
  const revocation = inventory.revocations.get(certId.serialNumber)
  if (revocation === undefined) return { status: 'good' }
  const { reason, revokedAt } = revocation
  return { status: 'revoked', reason, revocationTime: new Date(revokedAt) }
}

async function read(state: StateDirectory, stamp: string, now: Date): Promise<Snapshot> {
  const [scopes, inventory] = await Promise.all([readScopes(state), readInventory(state)])
  const authorities: Authority[] = []
  const standing: StandingAnswer[] = []
  for (const scope of scopes) {
    // An expired authority cannot sign answers, and must not keep the others from doing so.
    if (scope.validity.notAfter <= now) continue
    const spki = scope.intermediate.publicKey.export({ type: 'spki', format: 'der' })
    const signer = await openSigner(state, scope, now)
    authorities.push({ scope, issuer: { name: scope.issuerName, spki }, signer })
    const answer = await readStanding(state, scope)
    if (answer !== null) standing.push(answer)
  }
  const issued = new Map(
    inventory.certificates.map(({ serialNumber, scope }) => [serialNumber, scope]),
  )
  return { stamp, authorities, standing, inventory, issued, crls: new Map() }
}

/**
 * Returns the stamps of the record and of the directory of scopes, which changes with every scope.
 */
async function stateStamp(state: StateDirectory): Promise<string> {
  return `${await stampOf(recordPath(state))}, ${await stampOfScopes(state)}`
}
