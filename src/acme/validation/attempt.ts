import type { ResolvedOptions } from '../options.ts'
import type { AcmeIdentifier } from '../resources.ts'
import type { Addresses } from './addresses.ts'

/** One validation, with all that it needs. */
export interface Attempt {
  readonly identifier: AcmeIdentifier
  readonly token: string
  /** The token and the thumbprint of the account's key (RFC 8555 §8.1). */
  readonly keyAuthorization: string
  readonly addresses: Addresses
  readonly options: ResolvedOptions
  /** Fires when the time is up. */
  readonly signal: AbortSignal
}
