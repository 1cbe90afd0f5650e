import { isLocked } from '../files/lock.ts'
import { daemonLock, readRunFile } from '../home/run-file.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import type { CertificateRecord } from '../storage/records.ts'

/** The revocation URL in a certificate and who chose it. Both absent: it has none. */
export type RevocationUrl = Pick<CertificateRecord, 'revocationUrl' | 'responder'>

/** A URL; `false`: none, whatever runs; `undefined`: the daemon's while it answers. */
export type WantedUrl = string | false | undefined

/** Where the daemon answers OCSP and CRL requests now; `null`: it does not. */
export async function servedRevocationUrl(state: StateDirectory): Promise<string | null> {
  const url = (await readRunFile(state))?.revocationUrl ?? null
  // After a kill the file stays, and its process ID may belong to another program.
  return url !== null && isLocked(state, daemonLock) ? url : null
}

/** The revocation URL of a new certificate, with who chose it, which its renewal must know. */
export async function revocationUrlFor(
  state: StateDirectory,
  wanted: WantedUrl,
): Promise<RevocationUrl> {
  if (wanted === false) return { responder: 'none' }
  if (wanted !== undefined) return { revocationUrl: wanted }
  const served = await servedRevocationUrl(state)
  return served === null ? {} : { revocationUrl: served, responder: 'daemon' }
}

/** What was asked for when this certificate was issued, for its renewal to ask again. */
export function wantedBefore({ revocationUrl, responder }: RevocationUrl): WantedUrl {
  if (responder === 'none') return false
  return responder === 'daemon' ? undefined : revocationUrl
}

/**
 * The daemon's URL in a certificate, where no daemon answers any more; `null`: the certificate has
 * none, or it is answered.
 */
export function unansweredUrl(
  { revocationUrl, responder }: RevocationUrl,
  served: string | null,
): string | null {
  const fine = responder !== 'daemon' || revocationUrl === undefined || revocationUrl === served
  return fine ? null : revocationUrl
}
