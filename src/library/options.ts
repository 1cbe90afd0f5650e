import { array, text, oneOf, type OptionKinds } from '../arguments.ts'
import type { StoreKind, StoreScope } from '../../platform/trust-store.ts'
import { stateOptions, type StateOptions } from './state.ts'

/** The options of a function that asks or changes trust stores. */
export interface StoreSelection extends StateOptions {
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

export const storeSelectionOptions: OptionKinds<StoreSelection> = {
  stores: array("['system', 'nss']"),
  storeScope: oneOf(['user', 'system'] satisfies StoreScope[]),
  javaPasswordFile: text("path.resolve('java-password')"),
  ...stateOptions,
}
