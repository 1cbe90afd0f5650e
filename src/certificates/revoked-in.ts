import { stampOf } from '../files/stamp.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import { recordPath, revocationOf } from '../storage/files/record.ts'

/** The most answers that `revokedIn` keeps. */
const mostAnswers = 1_000

/**
 * Returns a function that says whether the certificate with a serial number is revoked. It searches
 * the record again only after a change of the record.
 */
export function revokedIn(state: StateDirectory): (serialNumber: string) => Promise<boolean> {
  const answers = new Map<string, boolean>()
  let stamp = ''
  return async (serialNumber) => {
    const latest = await stampOf(recordPath(state))
    if (latest !== stamp || answers.size >= mostAnswers) answers.clear()
    stamp = latest
    const revoked = answers.get(serialNumber) ?? (await revocationOf(state, serialNumber)) !== null
    answers.set(serialNumber, revoked)
    return revoked
  }
}
