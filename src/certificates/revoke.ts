import { X509Certificate } from 'node:crypto'
import { RootlingError, UnknownName } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { exclusively } from '../storage/files/unfinished-writes.ts'
import { readInventory, recordReleased, recordRevoked } from '../storage/files/record.ts'
import { issueAgain } from '../storage/issue-again.ts'
import { selfSignedScope, type CertificateRecord, type Inventory } from '../storage/records.ts'
import { certificatesIn } from '../x509/inspect.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'
import type { Revocation, RevocationReason } from '../x509/revocation.ts'

/** A serial number as `serialNumberIn` gives it, or the contents of a certificate file. */
type RevocationTarget = string | Buffer

export interface RevokeRequest {
  readonly target: RevocationTarget
  /** Default `unspecified`. `certificateHold` can be released. */
  readonly reason?: RevocationReason | undefined
  readonly now: Date
}

export interface Revoked {
  readonly record: CertificateRecord
  /** The revocation now; `null`: the certificate is not revoked. */
  readonly revocation: Revocation | null
  /** `false`: nothing was to be done. */
  readonly changed: boolean
}

/**
 * Revokes a certificate. An earlier revocation stays as it is, except that a hold may become final.
 * Throws `usage` for a certificate that is not on record.
 */
export async function revoke(state: StateDirectory, request: RevokeRequest): Promise<Revoked> {
  const { target, reason = 'unspecified', now } = request
  return exclusively(state, async () => {
    const { record, revocation } = find(await readInventory(state), target)
    const final = revocation?.reason === 'certificateHold' && reason !== 'certificateHold'
    if (revocation !== null && !final) return { record, revocation, changed: false }
    // A hold that becomes final keeps its date (X.509, reason code extension).
    const revokedAt = revocation?.revokedAt ?? now.toISOString()
    const made: Revocation = { serialNumber: record.serialNumber, reason, revokedAt }
    await recordRevoked(state, made)
    return { record, revocation: made, changed: true }
  })
}

/**
 * Ends a hold. A certificate that is not revoked is a success. Throws `usage` for a certificate
 * that is revoked for good.
 */
export async function release(
  state: StateDirectory,
  { target, now }: Pick<RevokeRequest, 'target' | 'now'>,
): Promise<Revoked> {
  return exclusively(state, async () => {
    const { record, revocation } = find(await readInventory(state), target)
    if (revocation === null) return { record, revocation, changed: false }
    if (revocation.reason !== 'certificateHold')
      throw new RootlingError(
        'usage',
        `${record.serialNumber} was revoked for good (${revocation.reason}); only a certificateHold can be released.`,
        { hint: issueAgain(record) },
      )
    await recordReleased(state, record.serialNumber, now)
    return { record, revocation: null, changed: true }
  })
}

function find(
  { certificates, revocations }: Inventory,
  target: RevocationTarget,
): { record: CertificateRecord; revocation: Revocation | null } {
  const record =
    typeof target === 'string'
      ? certificates.find(({ serialNumber }) => serialNumber === target)
      : findCertificate(certificates, target)
  if (record === undefined)
    throw new UnknownName(
      'usage',
      typeof target === 'string'
        ? `No certificate on record has the serial number ${target}.`
        : 'The certificate of this file is not on record here, so only its own issuer can revoke it.',
      { hint: 'rootling list --all --json' },
    )
  if (record.scope === selfSignedScope)
    throw new RootlingError('usage', 'A self-signed certificate has no issuer to revoke it.', {
      hint: 'Remove it from every program that trusts it',
    })
  return { record, revocation: revocations.get(record.serialNumber) ?? null }
}

function readCertificate(der: Buffer): X509Certificate {
  try {
    return new X509Certificate(der)
  } catch (error) {
    throw new RootlingError('bad-certificate', 'The file holds no certificate that can be read.', {
      hint: 'Name the .pem file of the certificate, or its serial number: rootling list --json',
      cause: error,
    })
  }
}

function findCertificate(
  certificates: readonly CertificateRecord[],
  contents: Buffer,
): CertificateRecord | undefined {
  const [der] = certificatesIn(contents, 'The file')
  const certificate = readCertificate(der as Buffer)
  if (certificate.ca)
    throw new RootlingError('usage', 'An authority is not revoked: its root key is gone.', {
      hint: 'Take it out of every trust store and delete its scope with its key: rootling ca forget SCOPE',
    })
  return certificates.find(({ fingerprint }) => fingerprint === fingerprintOf(certificate))
}
