import { randomBytes } from 'node:crypto'
import type { AcmeAuthority } from './acme-authority.ts'
import type { Connection, SocketOwners } from '../server/socket-owner.ts'
import type { AccountKey } from './keys.ts'
import type { AcmeProfile, ResolvedOptions } from './options.ts'
import type { Account } from './resources.ts'
import type { Store } from './store/store.ts'
import type { Urls } from './urls.ts'
import type { Validator } from './validation/validator.ts'

/** The parts of the server that every handler needs. */
export interface AcmeContext {
  /** The command that makes a key for an external account binding. */
  readonly eabCommand: string
  readonly store: Store
  readonly urls: Urls
  readonly now: () => Date
  readonly authority: AcmeAuthority
  readonly options: ResolvedOptions
  readonly profiles: ReadonlyMap<string, AcmeProfile>
  readonly validator: Validator
  /** Tells who may open accounts without a binding; `null`: anybody may. */
  readonly owners: SocketOwners | null
  /** Orders whose certificates are being issued at this moment. */
  readonly issuing: Set<string>
}

/** A verified request. */
export interface Signed {
  /** `null` for POST-as-GET. */
  readonly payload: Readonly<Record<string, unknown>> | null
  /** The connection by which it came. */
  readonly connection: Connection
}
export interface SignedByAccount extends Signed {
  readonly account: Account
  readonly key: AccountKey
}

export interface Answer {
  readonly status: number
  /** An object is sent as JSON; without a body none is sent. */
  readonly body?: object | string | Buffer
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
}

/** A random ID for a resource, 120 bits in base64url. */
export const newId = (): string => randomBytes(15).toString('base64url')
