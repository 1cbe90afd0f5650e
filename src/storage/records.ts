import type { Identifier } from '../x509/identifier.ts'
import type { Revocation } from '../x509/revocation.ts'

/** Whom the certificate speaks for; RFC 5280's extKeyUsage serverAuth or clientAuth. */
export type Purpose = 'server' | 'client'

/** One issued certificate, as recorded before its files were written. */
export interface CertificateRecord {
  /** Lower-case hex, 32 digits. */
  readonly serialNumber: string
  /** Name of the scope that signed it. */
  readonly scope: string
  readonly identifiers: readonly Identifier[]
  /** ISO 8601, UTC. */
  readonly notBefore: string
  readonly notAfter: string
  /** A KeyType, or what a request's key was. */
  readonly keyType: string
  readonly purpose: Purpose
  /** SHA-256 of the certificate's DER, hex. */
  readonly fingerprint: string
  /** Absolute; `null`: printed, not written. */
  readonly certPath: string | null
  readonly keyPath: string | null
  /** Further files of the certificate, which renewal writes anew. */
  readonly extra?: readonly ExtraFile[]
  /** Run by a shell after each renewal. */
  readonly onRenew?: string
  /** Where the certificate says that its revocation can be asked. */
  readonly revocationUrl?: string
  /**
   * `daemon`: that URL is the daemon's, and a renewal names it while the daemon serves. `none`:
   * renewals name none either. Absent: what was given stays, and where nothing was as `daemon`.
   */
  readonly responder?: 'daemon' | 'none'
}

/**
 * `chain`: the issuers; `der`: the leaf; `full`: chain and key; `pkcs12`: needs its password anew.
 */
export interface ExtraFile {
  readonly format: 'chain' | 'der' | 'full' | 'pkcs12'
  readonly path: string
}

/** All that was issued, oldest first, and what of it stands revoked. */
export interface Inventory {
  readonly certificates: readonly CertificateRecord[]
  /** By serial number; a hold that was released is not in it. */
  readonly revocations: ReadonlyMap<string, Revocation>
}
