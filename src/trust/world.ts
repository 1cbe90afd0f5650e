import type { ClientStoreFinders } from '../../platform/client-stores.ts'
import type { findTrustStores } from '../../platform/index.ts'
import type { AskKeystorePassword } from '../../platform/java/keystore.ts'
import type { TrustAnchor } from '../../platform/trust-store.ts'
import type { Scope } from '../authority/scope.ts'
import type { HookOutcome } from '../certificates/renew-hooks.ts'
import type { Renewal } from '../certificates/renew.ts'
import { RootlingError } from '../errors.ts'
import type { StateDirectory } from '../home/state-directory.ts'
import type { Constraints } from '../x509/foreign-extensions.ts'
import type { RotationPlan } from './rotation-plan.ts'

/**
 * What the functions that change trust stores need: the authority, the clock, and a way to ask and
 * inform the person.
 */
export interface TrustWorld {
  readonly state: StateDirectory
  readonly env: Readonly<Record<string, string | undefined>>
  readonly now: () => Date
  /** Whether sudo may ask for a password on the terminal. */
  readonly interactive: boolean
  /** What a person types instead, where no dialog may open either; absent: dialogs may open. */
  readonly attendedCommand?: string | undefined
  /**
   * Asks the person a question. Where nobody can be asked, the implementation decides the answer.
   */
  readonly confirm: (question: Question) => Promise<boolean>
  /** Asks the person for the password of a Java keystore; absent: nobody can be asked. */
  readonly askKeystorePassword?: AskKeystorePassword | undefined
  /** Called for each event while the work goes on. */
  readonly report: (event: TrustEvent) => void
  /** Finds the stores of the machine; default: all those that `platform/` knows. */
  readonly findStores?: typeof findTrustStores
  /** Finds the stores of client certificates; default: all those that `platform/` knows. */
  readonly findClientStores?: ClientStoreFinders
}

/** An authority on disk. */
export interface AuthorityFiles {
  readonly state: StateDirectory
  /** The names of its scopes, each of which has a key. */
  readonly scopes: readonly string[]
}

/**
 * What the person is asked before Rootling does it. A no to `install-tool` skips that installation;
 * a no to `delete-named-authority` leaves that authority;
 * a no to any other question cancels the work. A dry run asks only `trust-foreign-root`.
 */
export type Question =
  | { readonly type: 'install-tool'; readonly program: string; readonly reason: string }
  | {
      readonly type: 'remove'
      readonly anchors: readonly TrustAnchor[]
      /** The scopes that some of the anchors belong to. */
      readonly scopes: readonly Scope[]
      readonly deletesAuthority: boolean
      /** What is deleted where `deletesAuthority` says so. */
      readonly authority: AuthorityFiles
    }
  /** There is no authority of the person's own, and the stores hold these roots. */
  | { readonly type: 'remove-others'; readonly anchors: readonly TrustAnchor[] }
  /** A yes also removes the roots of that authority from the trust stores. */
  | { readonly type: 'delete-named-authority'; readonly authority: AuthorityFiles }
  | { readonly type: 'forget-scope'; readonly name: string }
  | { readonly type: 'rotate'; readonly plan: RotationPlan }
  | { readonly type: 'trust-foreign-root'; readonly fingerprint: string }

/** An event that the command may show to the person while the work goes on. */
export type TrustEvent =
  | { readonly type: 'scope-expires'; readonly warning: string }
  /** The operating system or sudo is about to ask for a password. */
  | { readonly type: 'password-prompt'; readonly sentence: string }
  /** A program, or what else is waited for, has taken so many seconds; told every second. */
  | { readonly type: 'waiting'; readonly what: string; readonly seconds: number }
  | { readonly type: 'tool-installing'; readonly program: string }
  | { readonly type: 'tool-failed'; readonly program: string; readonly reason: string }
  | { readonly type: 'authority-created'; readonly scope: Scope }
  | { readonly type: 'scope-permitted'; readonly scope: Scope; readonly created: boolean }
  /** A dry run uses placeholder anchors of this name for scopes that it would create. */
  | { readonly type: 'scope-planned'; readonly anchorName: string }
  | { readonly type: 'others-left'; readonly anchors: readonly TrustAnchor[] }
  | { readonly type: 'nothing-installed' }
  | { readonly type: 'scope-damaged'; readonly error: RootlingError }
  | { readonly type: 'rotating'; readonly old: Scope; readonly next: Scope }
  | {
      readonly type: 'renewed'
      readonly renewals: readonly Renewal[]
      readonly hooks: readonly HookOutcome[]
    }
  | {
      readonly type: 'foreign-root'
      readonly subject: string
      readonly constraints: Constraints | null
      /** Whether it has constraints that do not count, since clients may pass over them. */
      readonly uncritical: boolean
      /** Whether the root goes into Java's stores too. */
      readonly java: boolean
    }

/** Asks the person the question. Throws `cancelled` when the answer is no. */
export async function confirmOrCancel(world: TrustWorld, question: Question): Promise<void> {
  if (await world.confirm(question)) return
  throw new RootlingError('cancelled', 'Cancelled; nothing was changed.')
}
