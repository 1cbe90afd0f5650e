/** A root as a trust store sees it: certificate and name, no key. */
export interface TrustAnchor {
  /** `rootling-` and the first 8 hex digits of the fingerprint: file name, NSS nickname, Java alias. */
  readonly name: string
  readonly pem: string
  readonly der: Buffer
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
}

/** Every anchor that Rootling installs is named so; uninstall finds its own by it. */
export const anchorPrefix = 'rootling-'

/** What `--stores` selects; one kind can have many stores on a machine. */
export type StoreKind = 'system' | 'nss' | 'java'
export const storeKinds: readonly StoreKind[] = ['system', 'nss', 'java']

/** `user`: for the person alone; `system`: for everybody on the machine. Linux has the second only. */
export type StoreScope = 'user' | 'system'

export interface Available {
  readonly available: true
}

export interface Unavailable {
  readonly available: false
  /**
   * `absent`: nothing of the kind is on this machine (a note).
   * `missing-tool`: the store is there, the program that writes it is not (a failure that `tool` mends).
   * `unsupported`: the store cannot be written by a program (a failure; the hint says what to do by hand).
   */
  readonly code: 'absent' | 'missing-tool' | 'unsupported'
  /** One sentence. */
  readonly reason: string
  /** What to type next. */
  readonly hint?: string
  /** With `missing-tool`: the command that installs it, as an argument array; needs root. */
  readonly tool?: { readonly program: string; readonly install: readonly string[] | null }
}

/** An `unsupported` store. */
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
  /** Ours, found by the name prefix. */
  list(): Promise<TrustAnchor[]>
  /** Whether the store trusts this very certificate; compares DER, never names. */
  has(anchor: TrustAnchor): Promise<boolean>
  install(anchor: TrustAnchor): Promise<void>
  /** Absent is success. */
  uninstall(anchor: TrustAnchor): Promise<void>
}
