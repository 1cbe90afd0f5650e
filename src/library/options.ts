import type { StoreKind, StoreScope } from '../../platform/trust-store.ts'

/** The options of every function that works on the authority of this machine. */
export interface AuthorityOptions {
  /** The state directory, an absolute path; default: the one that the command line uses. */
  readonly home?: string
  /** The clock; default: the system's. */
  readonly now?: () => Date
}

/** The options of a function that asks or changes trust stores. */
export interface StoreSelection extends AuthorityOptions {
  /** The kinds of stores; default: those that `rootling install` was told to use, or all. */
  readonly stores?: readonly StoreKind[]
  /**
   * Whether the user's or the machine's stores are used on macOS and Windows; default: the user's,
   * and in a Windows process of an administrator the machine's.
   */
  readonly storeScope?: StoreScope
  /**
   * A file whose first line is the password of Java's keystores that do not have the usual one; an
   * absolute path.
   */
  readonly javaPasswordFile?: string
}
