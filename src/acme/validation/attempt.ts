import type { SocketOwners } from '../../server/socket-owner.ts'
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
  /**
   * Tells whose servers of this machine may answer; `null`: anybody's, since the account is bound to
   * a key of the authority, or since the system tells no users apart.
   */
  readonly owners: SocketOwners | null
  /**
   * Whether the account is bound to a key of the authority: its client may be of another machine or
   * user, and may learn nothing of what the servers of this machine answer.
   */
  readonly bound: boolean
  /** Fires when the time is up. */
  readonly signal: AbortSignal
}
