import { X509Certificate } from 'node:crypto'
import { RootlingError, UnknownName } from '../errors.ts'
import { issueAgain } from '../storage/issue-again.ts'
import { selfSignedScope, type CertificateRecord } from '../storage/records.ts'
import type { Change, Storage } from '../storage/storage.ts'
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
export async function revoke(storage: Storage, request: RevokeRequest): Promise<Revoked> {
  const { target, reason = 'unspecified', now } = request
  return storage.change(async (change) => {
    const { record, revocation } = await find(change, target)
    const final = revocation?.reason === 'certificateHold' && reason !== 'certificateHold'
    if (revocation !== null && !final) return { record, revocation, changed: false }
    // A hold that becomes final keeps its date (X.509, reason code extension).
    const revokedAt = revocation?.revokedAt ?? now.toISOString()
    const made: Revocation = { serialNumber: record.serialNumber, reason, revokedAt }
    await change.revoked(made)
    return { record, revocation: made, changed: true }
  })
}

/**
 * Ends a hold. A certificate that is not revoked is a success. Throws `usage` for a certificate
 * that is revoked for good.
 */
export async function release(
  storage: Storage,
  { target, now }: Pick<RevokeRequest, 'target' | 'now'>,
): Promise<Revoked> {
  return storage.change(async (change) => {
    const { record, revocation } = await find(change, target)
    if (revocation === null) return { record, revocation, changed: false }
    if (revocation.reason !== 'certificateHold')
      throw new RootlingError(
        'usage',
        `${record.serialNumber} was revoked for good (${revocation.reason}); only a certificateHold can be released.`,
        { hint: issueAgain(record) },
      )
    await change.released(record.serialNumber, now)
    return { record, revocation: null, changed: true }
  })
}

async function find(
  { certificates }: Change,
  target: RevocationTarget,
): Promise<{ record: CertificateRecord; revocation: Revocation | null }> {
  const entry =
    typeof target === 'string'
      ? await certificates.find(target)
      : await certificates.findByFingerprint(fingerprintIn(target))
  if (entry === null)
    throw new UnknownName(
      'usage',
      typeof target === 'string'
        ? `No certificate on record has the serial number ${target}.`
        : 'The certificate of this file is not on record here, so only its own issuer can revoke it.',
      { hint: 'rootling list --all --json' },
    )
  const { certificate: record, revocation } = entry
  if (record.scope === selfSignedScope)
    throw new RootlingError('usage', 'A self-signed certificate has no issuer to revoke it.', {
      hint: 'Remove it from every program that trusts it',
    })
  return { record, revocation }
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

/** Returns the fingerprint of the certificate in a file. Throws `usage` for that of an authority. */
function fingerprintIn(contents: Buffer): string {
  const [der] = certificatesIn(contents, 'The file')
  const certificate = readCertificate(der as Buffer)
  if (certificate.ca)
    throw new RootlingError('usage', 'An authority is not revoked: its root key is gone.', {
      hint: 'Take it out of every trust store and delete its scope with its key: rootling ca forget SCOPE',
    })
  return fingerprintOf(certificate)
}
