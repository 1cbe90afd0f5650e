import { isLocked } from '../files/lock.ts'
import { daemonLock, readRunFile } from '../home/run-file.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import type { CertificateRecord } from '../storage/records.ts'

/** The revocation URL in a certificate and who chose it. Both absent: it has none. */
export type RevocationUrl = Pick<CertificateRecord, 'revocationUrl' | 'responder'>

/**
 * Which revocation URL a new certificate is to name: a URL; `false`: none, whatever runs;
 * `undefined`: the daemon's while it answers.
 */
export type WantedUrl = string | false | undefined

/** Returns the URL where the daemon answers OCSP and CRL requests now; `null`: it does not. */
export async function servedRevocationUrl(state: StateDirectory): Promise<string | null> {
  const url = (await readRunFile(state))?.revocationUrl ?? null
  // After a kill of the daemon, its run file stays, and the process ID in it may belong to another
  // program. So the daemon's lock decides.
  return url !== null && isLocked(state, daemonLock) ? url : null
}

/**
 * Returns the revocation URL for a new certificate, and who chose it, which the renewal must know.
 */
export async function revocationUrlFor(
  state: StateDirectory,
  wanted: WantedUrl,
): Promise<RevocationUrl> {
  if (wanted === false) return { responder: 'none' }
  if (wanted !== undefined) return { revocationUrl: wanted }
  const served = await servedRevocationUrl(state)
  return served === null ? {} : { revocationUrl: served, responder: 'daemon' }
}

/** Returns what was wanted when a certificate was issued, so that its renewal wants the same. */
export function wantedBefore({ revocationUrl, responder }: RevocationUrl): WantedUrl {
  if (responder === 'none') return false
  return responder === 'daemon' ? undefined : revocationUrl
}

/**
 * Returns the daemon's URL in a certificate, if no daemon answers there any more; `null`: the
 * certificate names no such URL, or a daemon answers there.
 */
export function unansweredUrl(
  { revocationUrl, responder }: RevocationUrl,
  served: string | null,
): string | null {
  const fine = responder !== 'daemon' || revocationUrl === undefined || revocationUrl === served
  return fine ? null : revocationUrl
}
