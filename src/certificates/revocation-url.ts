import { isLocked } from '../files/lock.ts'
import { daemonLock, readRunFile } from '../home/run-file.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import type { CertificateRecord } from '../storage/records.ts'

/** Which responder a certificate names for its OCSP and CRL; neither member: none. */
export type Responder = Pick<CertificateRecord, 'revocationUrl' | 'responder'>

/** A URL, `false` for none whatever is served, `undefined` for the daemon's while it serves. */
export type AskedResponder = string | false | undefined

/** Where the daemon answers OCSP and CRL requests now; `null`: it does not. */
export async function servedRevocationUrl(state: StateDirectory): Promise<string | null> {
  const url = (await readRunFile(state))?.revocationUrl ?? null
  // After a kill the file stays, and its process ID may be another's.
  return url !== null && isLocked(state, daemonLock) ? url : null
}

/** What a new certificate is to name, and why, for its renewal to know. */
export async function responderFor(
  state: StateDirectory,
  asked: AskedResponder,
): Promise<Responder> {
  if (asked === false) return { responder: 'none' }
  if (asked !== undefined) return { revocationUrl: asked }
  const served = await servedRevocationUrl(state)
  return served === null ? {} : { revocationUrl: served, responder: 'daemon' }
}

/** What was asked for when a certificate was issued. */
export function askedBefore({ revocationUrl, responder }: Responder): AskedResponder {
  if (responder === 'none') return false
  return responder === 'daemon' ? undefined : revocationUrl
}

/** The daemon's URL in a certificate where no daemon answers any more; `null`: there is none. */
export function unansweredUrl(
  { revocationUrl, responder }: Responder,
  served: string | null,
): string | null {
  const stands = responder !== 'daemon' || revocationUrl === undefined || revocationUrl === served
  return stands ? null : revocationUrl
}
