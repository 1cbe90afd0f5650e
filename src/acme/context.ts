import type { AcmeAuthority } from './acme-authority.ts'
import type { Connection, SocketOwners } from '../server/socket-owner.ts'
import type { AccountKey } from './keys.ts'
import type { Limits } from './limits.ts'
import type { AcmeProfile, ResolvedOptions } from './options.ts'
import type { Account, EabKey } from './resources.ts'
import type { KnownKeys } from './known-keys.ts'
import { randomOctets } from './random.ts'
import type { AcmeStore, Unit } from './store/contract.ts'
import type { Urls } from './urls.ts'
import type { Validator } from './validation/validator.ts'

/** The parts of the server that every handler needs. */
export interface AcmeContext {
  /** The command that makes a key for an external account binding. */
  readonly eabCommand: string
  readonly store: AcmeStore
  readonly urls: Urls
  /** Whether the request came by the URL for other machines. */
  readonly isRemote: boolean
  readonly now: () => Date
  readonly authority: AcmeAuthority
  readonly options: ResolvedOptions
  readonly profiles: ReadonlyMap<string, AcmeProfile>
  readonly validator: Validator
  readonly limits: Limits
  /** Tells who may open accounts without a binding; `null`: anybody may. */
  readonly owners: SocketOwners | null
  /** The keys of accounts that sent requests of late. */
  readonly keys: KnownKeys
  /** Orders whose certificates this process is issuing at this moment, by ID. */
  readonly issuing: Map<string, Issuing>
  /** Challenges that were validated for a request that is not committed, by authorization and ID. */
  readonly early: Set<string>
  /** Takes an error that is no client's fault, for the log. */
  readonly onError: (error: unknown) => void
  /** Called with the types of a challenge that failed, and of its problem. */
  readonly onInvalid: (type: string, problem: string) => void
}

interface Issuing {
  /** The digest of the CSR. */
  readonly csrDigest: string
  /** Resolves when the certificate is issued, or was not. */
  readonly ended: Promise<void>
}

/** A verified request. */
export interface Signed {
  /** `null` for POST-as-GET. */
  readonly payload: Readonly<Record<string, unknown>> | null
  /** What the store had when the request came. */
  readonly unit: Unit
  /** The connection by which it came. */
  readonly connection: Connection
  /** Has `end` called when the request is committed, or has failed or is begun anew (`false`). */
  readonly atEnd: (end: (isDone: boolean) => void) => void
}
export interface SignedByAccount extends Signed {
  readonly account: Account
  readonly key: AccountKey
  /** The key that the account is bound to, as it was when the request came. */
  readonly eabKey: () => EabKey | undefined
}

/**
 * The part of a handler that reads and changes the store. A problem that it throws is the answer; what it
 * put before is committed. Where the commit conflicts with that of another request, the whole handler runs
 * again.
 */
export type Step = (unit: Unit) => Reply

/** An answer, or the work that gives it: it is done once the unit is committed. */
export type Reply = Answer | (() => Promise<Answer>)

export interface Answer {
  readonly status: number
  /** An object is sent as JSON; without a body none is sent. */
  readonly body?: object | string | Buffer
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
}

/** A random ID for a resource, 128 bits in base64url. */
export const newId = (): string => randomOctets(16).toString('base64url')
