import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openSigner, requireScope, type Scope } from '../authority/scope.ts'
import { RootlingError } from '../errors.ts'
import { selfSignedScope } from './leaf.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { exclusively } from '../storage/files/pending.ts'
import { scopePath } from '../storage/files/scopes.ts'
import {
  readInventory,
  recordReleased,
  recordRevoked,
  type CertificateRecord,
  type Inventory,
  type Revocation,
  type RevocationReason,
} from '../storage/files/record.ts'
import { readText, shellWord, writeFileAtomic } from '../files/files.ts'
import { signCrl, type RevokedCertificate } from '../x509/crl.ts'
import { certificatesIn } from '../x509/inspect.ts'
import { fingerprintOf } from '../x509/parsed-certificate.ts'
import { day } from '../x509/profiles.ts'

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
  /** As it stands now; `null`: not revoked. */
  readonly revocation: Revocation | null
  /** `false`: it was so already. */
  readonly changed: boolean
}

/** A serial number in hex, also as OpenSSL prints it (`4A:0F:…`), normalised; `null`: none. */
export function serialNumberIn(text: string): string | null {
  const hex = /^(?:0x)?((?:[0-9a-f]{2}){1,20})$/i.exec(text)?.[1]
  // Fewer colons might be a host and its port.
  const withColons = /^[0-9a-f]{2}(?::[0-9a-f]{2}){3,19}$/i.test(text) ? text : undefined
  return (hex ?? withColons)?.replaceAll(':', '').toLowerCase() ?? null
}

/**
 * Revokes a certificate of ours. Revoked already, it stays as it is, but for a hold, which may
 * become final. Throws `usage` for a certificate that is not on record.
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

/** Ends a hold; not revoked is success. Throws `usage` for what is revoked for good. */
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
        { hint: `rootling issue ${record.identifiers.map(({ value }) => value).join(' ')}` },
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
    throw new RootlingError(
      'usage',
      typeof target === 'string'
        ? `No certificate on record has the serial number ${target}.`
        : 'The certificate of this file is not on record here, so only its own issuer can revoke it.',
      { hint: 'rootling list --all --json' },
    )
  if (record.scope === selfSignedScope)
    throw new RootlingError('usage', 'A self-signed certificate has no issuer to revoke it.', {
      hint: 'Take it away from wherever it is trusted',
    })
  return { record, revocation: revocations.get(record.serialNumber) ?? null }
}

function findCertificate(
  certificates: readonly CertificateRecord[],
  contents: Buffer,
): CertificateRecord | undefined {
  const [der] = certificatesIn(contents, 'The file')
  const certificate = new X509Certificate(der as Buffer)
  if (certificate.ca)
    throw new RootlingError('usage', 'An authority is not revoked: its root key is gone.', {
      hint: 'Take it out of every trust store: rootling ca forget SCOPE',
    })
  return certificates.find(({ fingerprint }) => fingerprint === fingerprintOf(certificate))
}

/** From thisUpdate to nextUpdate, in milliseconds. */
const crlLifetime = 7 * day

/**
 * A scope's CRL (RFC 5280 §5), DER, with a number above that of every one before. Throws
 * `no-scope`, and what `openSigner` throws.
 */
export async function makeCrl(
  state: StateDirectory,
  scopeName: string,
  now: Date,
): Promise<Buffer> {
  return exclusively(state, async () => {
    const scope = await existingScope(state, scopeName)
    const signer = await openSigner(state, scope, now)
    const revoked = revokedIn(await readInventory(state), scopeName, now)
    const crlNumber = await nextCrlNumber(state, scopeName, now)
    const nextUpdate = new Date(now.getTime() + crlLifetime)
    return signCrl({ thisUpdate: now, nextUpdate, crlNumber }, revoked, signer)
  })
}

/** Those that have expired stay for one more CRL's lifetime (RFC 5280 §3.3). */
function revokedIn(
  { certificates, revocations }: Inventory,
  scopeName: string,
  now: Date,
): RevokedCertificate[] {
  return certificates.flatMap(({ scope, serialNumber, notAfter }) => {
    const revocation = revocations.get(serialNumber)
    const gone = Date.parse(notAfter) + crlLifetime < now.getTime()
    if (revocation === undefined || scope !== scopeName || gone) return []
    const { reason, revokedAt } = revocation
    return {
      serialNumber: Buffer.from(serialNumber, 'hex'),
      revocationDate: new Date(revokedAt),
      reason,
    }
  })
}

/**
 * Stored before it is used, so that no two CRLs share one, whatever is killed. Never below the
 * clock's seconds: a scope restored from a backup must not begin again at an old number.
 */
async function nextCrlNumber(state: StateDirectory, scope: string, now: Date): Promise<number> {
  const path = join(scopePath(state, scope), 'crl-number')
  const text = (await readText(path, 64)) ?? '0\n'
  if (!/^\d{1,15}\n$/.test(text))
    throw new RootlingError('corrupt-state', `${path} is damaged.`, {
      hint: `Numbers go on from the clock without it: rm ${shellWord(path)}`,
    })
  const next = Math.max(Number(text) + 1, Math.floor(now.getTime() / 1000))
  await writeFileAtomic(path, { data: `${next}\n`, mode: 0o644 }, state.owner)
  return next
}

/** The one CRL that a scope's root signed before its key was dropped, DER; it is empty. */
export async function readRootCrl(state: StateDirectory, scopeName: string): Promise<Buffer> {
  const scope = await existingScope(state, scopeName)
  const path = join(scopePath(state, scopeName), 'root.crl')
  if (scope.direct)
    throw new RootlingError('usage', `The root of ${scopeName} signs leaves, and their CRL too.`, {
      hint: `rootling crl --scope ${scopeName}`,
    })
  try {
    return await readFile(path)
  } catch (error) {
    throw new RootlingError('corrupt-state', `${path} cannot be read.`, {
      hint: 'Restore it from a backup',
      cause: error,
    })
  }
}

const existingScope = (state: StateDirectory, name: string): Promise<Scope> =>
  requireScope(state, name, (names) => `The scopes are: ${names.join(', ')}`)
