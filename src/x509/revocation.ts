/** The reasons of RFC 5280 §5.3.1 that a leaf of a private CA can have. */
export const revocationReasons = [
  'unspecified',
  'keyCompromise',
  'affiliationChanged',
  'superseded',
  'cessationOfOperation',
  'certificateHold',
  'privilegeWithdrawn',
] as const

export type RevocationReason = (typeof revocationReasons)[number]

/** That a certificate was revoked. */
export interface Revocation {
  /** Lower-case hex. */
  readonly serialNumber: string
  /** A name of RFC 5280 §5.3.1. */
  readonly reason: RevocationReason
  /** When; ISO 8601, UTC. */
  readonly revokedAt: string
}
