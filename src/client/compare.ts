import { rootCertificates } from 'node:tls'
import { RootlingError } from '../errors.ts'
import { get, type GetOptions, type GetResponse } from './get.ts'
import { parseTarget } from './target.ts'

export type Outcome = { ok: true; response: GetResponse } | { ok: false; error: RootlingError }

export interface Comparison {
  /** The outcome for a client that trusts the given roots. */
  readonly trusting: Outcome
  /**
   * The outcome for a client that trusts only the public roots in Node (Mozilla's), none of this
   * machine's.
   */
  readonly untrusting: Outcome
}

/**
 * Makes a request twice, with the given roots and without them. Throws `usage`; other failures are
 * returned.
 */
export async function compare(url: string, options: GetOptions): Promise<Comparison> {
  parseTarget(url)
  return {
    trusting: await outcome(url, options),
    untrusting: await outcome(url, { ...options, ca: rootCertificates }),
  }
}

async function outcome(url: string, options: GetOptions): Promise<Outcome> {
  try {
    return { ok: true, response: await get(url, options) }
  } catch (error) {
    if (error instanceof RootlingError) return { ok: false, error }
    throw error
  }
}
