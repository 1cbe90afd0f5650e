import type { Scope } from '../authority/scope.ts'
import type { CertificateRecord } from '../storage/records.ts'
import type { StoreOutcome } from './stores.ts'

/** What a rotation would do. It is found out without changing anything. */
export interface RotationPlan {
  /** The scope that is replaced. */
  readonly old: Scope
  readonly next: PlannedScope
  /**
   * How far a rotation that was interrupted came, which this one continues. `made`: the new scope is
   * beside the old one. `switched`: new certificates come from the new scope already. `null`: no
   * rotation was interrupted.
   */
  readonly continues: 'made' | 'switched' | null
  /** The outcomes of a dry run: of installing the new root, then of removing the old one. */
  readonly outcomes: readonly StoreOutcome[]
  /** The commands that would change the trust stores, as a person would type them. */
  readonly commands: readonly string[]
  /** The certificates in files that would be issued anew. */
  readonly renewals: readonly CertificateRecord[]
  /**
   * Those of `renewals` that no scope could sign any more. While there is one, the rotation stops
   * before the old root is removed.
   */
  readonly unsignable: readonly CertificateRecord[]
  /**
   * The certificates of the scope that are in no file, such as those of ACME clients, and that are
   * neither expired nor revoked. Those that the old root signed must be issued again by whoever
   * holds them.
   */
  readonly unfiled: readonly CertificateRecord[]
  readonly effects: RotationEffects
}

/** The scope that replaces another, before or after it is made. */
export interface PlannedScope extends Pick<
  Scope,
  'name' | 'use' | 'permitted' | 'constraints' | 'rootNotAfter'
> {
  readonly hardened: boolean
  /** SHA-256 of the root's DER, hex; `null`: the root is not made yet. */
  readonly fingerprint: string | null
}

/** Which files programs must read anew after a rotation, and which are old. */
export interface RotationEffects {
  /** The certificate files that were issued anew and that have no `--on-renew` command. */
  readonly reload: readonly string[]
  /** The files of roots that hold the new root, at the paths where they held the old one. */
  readonly updated: readonly string[]
  /**
   * The files that go on holding an old certificate, since the password of a PKCS #12 file is not
   * kept, and the copies of a root that is hardened no more, which are deleted.
   */
  readonly stale: readonly string[]
}
