import type { KeyType } from '../x509/keys.ts'
import type { CertificateFiles } from './temporary-files.ts'

/**
 * What can be wrong with a certificate that must be refused. The other side sees nothing else
 * wrong with it:
 *
 * - `expired`: it ended an hour ago (RFC 5280 §4.1.2.5)
 * - `not-yet-valid`: it begins tomorrow
 * - `wrong-name`: it is for `wrong-name.invalid` (RFC 6761 §6.4) instead of the names asked for
 * - `wrong-issuer`: another authority issued it
 * - `self-signed`: its own key signed it
 * - `no-intermediate`: the intermediate is missing from the chain, as where a server was given only
 *   the first certificate
 * - `revoked`: it is in the CRL; a client without that list accepts it
 */
export const certificateFaults = [
  'expired',
  'not-yet-valid',
  'wrong-name',
  'wrong-issuer',
  'self-signed',
  'no-intermediate',
  'revoked',
] as const
/** One of `certificateFaults`. */
export type CertificateFault = (typeof certificateFaults)[number]
/** The faults of a client's certificate: TLS does not compare its names with anything. */
export type ClientFault = Exclude<CertificateFault, 'wrong-name'>

/** What a server's and a client's certificate can have. */
export interface LeafOptions {
  /** The type of the key; default `p256`. An RSA key takes up to a second to make. */
  readonly keyType?: KeyType
  /** When it begins, to the second; default: an hour ago. */
  readonly notBefore?: Date
  /** When it ends, to the second; default: 397 days after an hour ago. */
  readonly notAfter?: Date
  /**
   * The subject in the text form of RFC 4514, such as `CN=shop.test,O=Shop`. Default: of a server
   * an organization alone, since clients read only subjectAltName (RFC 9525 §6.3); of a client the
   * first name as common name.
   */
  readonly subject?: string
}

/** What a server's certificate can have. */
export interface ServerOptions extends LeafOptions {
  /** What is wrong with it; default: nothing. `expired` and `not-yet-valid` set the dates. */
  readonly fault?: CertificateFault
}

/** What a client's certificate can have. */
export interface ClientOptions extends LeafOptions {
  /** What is wrong with it; default: nothing. `expired` and `not-yet-valid` set the dates. */
  readonly fault?: ClientFault
}

/**
 * A certificate and its key, in memory. `https.createServer`, `http2.createSecureServer`,
 * `tls.createServer`, `tls.connect` and `https.request` take it as it is.
 */
export interface EphemeralCertificate {
  /** PEM: the leaf, then the intermediate (RFC 8446 §4.4.2). */
  readonly cert: string
  /** PKCS #8 PEM (RFC 5958), not encrypted. */
  readonly key: string
  /** PEM of the authority's root, by which the other side is checked. */
  readonly ca: string
  /** Its names (subjectAltName): hosts as lower-case A-labels. */
  readonly names: readonly string[]
  /** When it begins, to the second. */
  readonly notBefore: Date
  /** When it ends, to the second. */
  readonly notAfter: Date
  /** Lower-case hex, 32 digits. */
  readonly serialNumber: string
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string
  /**
   * Writes `cert`, `key` and `ca` to files, for programs that take only paths: in a new directory
   * for this user alone (0700), the files 0600. `dispose` deletes them, or else the end of the
   * process. Throws `state-unwritable`.
   *
   * @example
   * import { execFileSync } from 'node:child_process'
   * import { ephemeralAuthority } from 'rootling/test'
   *
   * const ca = await ephemeralAuthority()
   * const certificate = await ca.certificate()
   * await using files = await certificate.files()
   * execFileSync('openssl', ['x509', '-in', files.certPath, '-noout', '-text'])
   */
  files(): Promise<CertificateFiles>
}
