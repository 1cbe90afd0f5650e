/** A root as a trust store sees it: certificate and name, no key. */
export interface TrustAnchor {
  /** `rootling-` and 8 hex digits of the fingerprint: file name, NSS nickname, Java alias. */
  readonly name: string
  readonly pem: string
  readonly der: Buffer
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  /**
   * What a system store holds in place of this certificate, for OpenSSL's sake, if the root is
   * hardened.
   */
  readonly copies?: readonly TrustAnchor[]
}

/** Returns an anchor and, if its root is hardened, its copies. */
export const allFormsOf = (anchor: TrustAnchor): readonly TrustAnchor[] => [
  anchor,
  ...(anchor.copies ?? []),
]

/**
 * The beginning of the names of all anchors that Rootling installs, by which uninstall finds them.
 */
export const anchorPrefix = 'rootling-'

/** A kind of store, as `--stores` names it. A machine can have several stores of one kind. */
export type StoreKind = 'system' | 'nss' | 'java'
export const storeKinds: readonly StoreKind[] = ['system', 'nss', 'java']

/**
 * Whether trust is for this user or for every user of the machine, as `--store-scope` says. Linux has
 * `system` only.
 */
export type StoreScope = 'user' | 'system'

/** A root that a store holds, whoever put it there. */
export interface HeldRoot {
  readonly der: Buffer
  /** The command by which a person takes it out of this store. */
  readonly removal: string
}

export interface Available {
  readonly available: true
}

export interface Unavailable {
  readonly available: false
  /**
   * `absent`: this machine has no such store; this is no failure.
   * `missing-tool`: the store is there, but the program that writes it is not; a failure, and
   * `tool` says how to install the program.
   * `unsupported`: no program can write the store; a failure, and the hint says what to do by hand.
   * The store can still be asked.
   */
  readonly code: 'absent' | 'missing-tool' | 'unsupported'
  /** Why the store is not available, in one sentence. */
  readonly reason: string
  /** What the person can type next. */
  readonly hint?: string
  /** What the person can do to take a root out of the store; default: `hint`. */
  readonly removalHint?: string
  /**
   * With `missing-tool`: the missing program, and the command that installs it, which needs root;
   * `null`: no command is known.
   */
  readonly tool?: { readonly program: string; readonly install: readonly string[] | null }
}

/** Returns what `availability` answers for a store that no program can write. */
export function unsupported(reason: string, hint?: string, removalHint?: string): Unavailable {
  return {
    available: false,
    code: 'unsupported',
    reason,
    ...(hint === undefined ? {} : { hint }),
    ...(removalHint === undefined ? {} : { removalHint }),
  }
}

/**
 * A place that keeps trust anchors. `install` and `uninstall` are idempotent, and throw a
 * RootlingError (`store-failed`, `tool-failed`, `tool-timeout`, `cancelled`) when the store
 * refuses.
 */
export interface TrustStore {
  /** Stable and unique on a machine, such as `nss:/home/ada/.pki/nssdb`. */
  readonly id: string
  readonly kind: StoreKind
  /** The name by which a person knows the store, such as `Chromium (~/.pki/nssdb)`. */
  readonly title: string
  /**
   * Whether this is a system store that holds the copies of a hardened root, which was tried with
   * every program that reads it; default: it is not.
   */
  readonly takesCopies?: boolean
  /** Whether the store can be changed. Other methods do not depend on the answer. */
  availability(): Promise<Available | Unavailable>
  /** Returns the anchors that Rootling installed, found by the prefix of their names. */
  list(): Promise<TrustAnchor[]>
  /**
   * Returns every root in the store, whoever put it there; those that came with the system may be
   * left out. Default: nobody can say.
   */
  heldRoots?(): Promise<HeldRoot[]>
  /**
   * Whether a program that reads the store trusts exactly this certificate; compares DER, never
   * names. Needs no right to write.
   */
  has(anchor: TrustAnchor): Promise<boolean>
  /**
   * Whether the store certainly does not hold this certificate, for when it cannot be read; default:
   * nobody can say.
   */
  lacks?(anchor: TrustAnchor): Promise<boolean>
  /**
   * Whether every program that reads the store trusts the certificate, where they read several
   * files; default: what `has` says.
   */
  trustsFully?(anchor: TrustAnchor): Promise<boolean>
  /**
   * Returns why `install` could not put this certificate into the store, and what can be done; `null`:
   * nothing is known to stand in its way. Default: nobody can say.
   */
  obstacle?(anchor: TrustAnchor): Promise<Pick<Unavailable, 'reason' | 'hint'> | null>
  /**
   * Returns a text that changes with everything by which the store answers, found without starting a
   * program; `null`: nobody can say now. Default: the store is read at no such cost, or nobody can
   * say.
   */
  stamp?(): Promise<string | null>
  /** Changes several anchors at once; default: one after the other. */
  readonly together?: Readonly<
    Partial<Record<'install' | 'uninstall', (anchors: readonly TrustAnchor[]) => Promise<void>>>
  >
  install(anchor: TrustAnchor): Promise<void>
  /** Removes the anchor. Does nothing when the anchor is absent. */
  uninstall(anchor: TrustAnchor): Promise<void>
}
