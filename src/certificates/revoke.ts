import { X509Certificate } from 'node:crypto'
import { RootlingError, UnknownName } from '../errors.ts'
import { issueAgain } from '../storage/issue-again.ts'
import { selfSignedScope, type CertificateRecord } from '../storage/records.ts'
import type { Change, Entry, Storage } from '../storage/storage.ts'
import { certificatesIn } from '../x509/inspect.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'
import type { Revocation, RevocationReason } from '../x509/revocation.ts'
import { restoreRecord } from './restore-record.ts'

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
 * A certificate of a file that this authority issued and that is not on record, as after an older
 * backup was restored, is recorded first. Throws `usage` for any other that is not on record.
 */
export async function revoke(storage: Storage, request: RevokeRequest): Promise<Revoked> {
  const { target, reason = 'unspecified', now } = request
  return storage.change(async (change) => {
    const { record, revocation } = await find(change, storage.place, target)
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
    const { record, revocation } = await find(change, storage.place, target)
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
  change: Change,
  place: string,
  target: RevocationTarget,
): Promise<{ record: CertificateRecord; revocation: Revocation | null }> {
  const { certificates } = change
  if (typeof target === 'string') {
    const entry = await certificates.find(target)
    if (entry !== null) return revocable(entry)
    throw unknown(`No certificate on record has the serial number ${target}.`)
  }
  const certificate = leafIn(target)
  const entry = await certificates.findByFingerprint(fingerprintOf(certificate))
  if (entry !== null) return revocable(entry)
  const record = await restoreRecord(change, place, certificate)
  if (record !== null)
    return { record, revocation: await certificates.revocationOf(record.serialNumber) }
  throw unknown(
    'The certificate of this file was not issued here, so only its own issuer can revoke it.',
  )
}

const unknown = (sentence: string): UnknownName =>
  new UnknownName('usage', sentence, { hint: 'rootling list --all --json' })

/** Throws `usage` for a certificate that has no issuer. */
function revocable({ certificate: record, revocation }: Entry) {
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

/** Returns the certificate in a file. Throws `usage` for that of an authority. */
function leafIn(contents: Buffer): X509Certificate {
  const [der] = certificatesIn(contents, 'The file')
  const certificate = readCertificate(der as Buffer)
  if (certificate.ca)
    throw new RootlingError('usage', 'An authority is not revoked: its root key is gone.', {
      hint: 'Take it out of every trust store and delete its scope with its key: rootling ca forget SCOPE',
    })
  return certificate
}
