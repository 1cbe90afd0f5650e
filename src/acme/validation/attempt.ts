import type { ResolvedOptions } from '../options.ts'
import type { AcmeIdentifier } from '../resources.ts'
import type { Addresses } from './addresses.ts'

/** One validation, with all that it needs. */
export interface Attempt {
  readonly identifier: AcmeIdentifier
  readonly token: string
  /** RFC 8555 §8.1: the token and the thumbprint. */
  readonly keyAuthorization: string
  readonly addresses: Addresses
  readonly options: ResolvedOptions
  /** Fires when the time is up. */
  readonly signal: AbortSignal
}
