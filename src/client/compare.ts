import { rootCertificates } from 'node:tls'
import { RootlingError } from '../errors.ts'
import { get, type GetOptions, type GetResponse } from './get.ts'
import { parseTarget } from './target.ts'

export type Outcome = { ok: true; response: GetResponse } | { ok: false; error: RootlingError }

export interface Comparison {
  /** Seen by a client that trusts the given roots. */
  readonly trusting: Outcome
  /** Seen by one that has only the public roots that Node ships (Mozilla's), whatever this machine adds. */
  readonly untrusting: Outcome
}

/** Makes the same request twice, with our roots and without. Throws `usage` only; every other failure is a value. */
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
