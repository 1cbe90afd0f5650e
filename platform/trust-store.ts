/** A root as a trust store sees it: certificate and name, no key. */
export interface TrustAnchor {
  /** `rootling-` and 8 hex digits of the fingerprint: file name, NSS nickname, Java alias. */
  readonly name: string
  readonly pem: string
  readonly der: Buffer
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
}

/** The names of all anchors that Rootling installs begin with it; uninstall finds them by it. */
export const anchorPrefix = 'rootling-'

/** The values of `--stores`; a machine can have several stores of one kind. */
export type StoreKind = 'system' | 'nss' | 'java'
export const storeKinds: readonly StoreKind[] = ['system', 'nss', 'java']

/** `--scope`: trust for this user, or for every user of the machine; Linux has `system` only. */
export type StoreScope = 'user' | 'system'

export interface Available {
  readonly available: true
}

export interface Unavailable {
  readonly available: false
  /**
   * `absent`: this machine has no such store (a note).
   * `missing-tool`: the store is there, the program that writes it is not (a failure; `tool` says
   * how to install it).
   * `unsupported`: no program can write the store (a failure; the hint says what to do by hand).
   */
  readonly code: 'absent' | 'missing-tool' | 'unsupported'
  /** One sentence. */
  readonly reason: string
  /** What to type next. */
  readonly hint?: string
  /** With `missing-tool`: the command that installs it, which needs root; `null`: none is known. */
  readonly tool?: { readonly program: string; readonly install: readonly string[] | null }
}

/** What `availability` answers for a store that no program can write. */
export function unsupported(reason: string, hint?: string): Unavailable {
  return { available: false, code: 'unsupported', reason, ...(hint === undefined ? {} : { hint }) }
}

/**
 * A place where anchors live. `install` and `uninstall` are idempotent and throw a RootlingError
 * (`store-failed`, `tool-failed`, `tool-timeout`, `cancelled`) when the store refused.
 */
export interface TrustStore {
  /** Stable and unique on a machine, such as `nss:/home/ada/.pki/nssdb`. */
  readonly id: string
  readonly kind: StoreKind
  /** What a person calls it, such as `Chromium (~/.pki/nssdb)`. */
  readonly title: string
  availability(): Promise<Available | Unavailable>
  /** The anchors that Rootling installed, found by the prefix of their names. */
  list(): Promise<TrustAnchor[]>
  /** Whether the store trusts this very certificate; compares DER, never names. */
  has(anchor: TrustAnchor): Promise<boolean>
  install(anchor: TrustAnchor): Promise<void>
  /** Absent is success. */
  uninstall(anchor: TrustAnchor): Promise<void>
}
