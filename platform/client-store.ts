import { createHash } from 'node:crypto'
import { certificatesIn, fingerprintOf } from './pem.ts'
import type { Available, Unavailable } from './trust-store.ts'

/**
 * The fingerprints of a person's client certificate and of the certificates that came with it:
 * SHA-256 of the DER, lower-case hex.
 */
export interface ClientIdentity {
  readonly fingerprint: string
  readonly issuers: readonly string[]
}

/** A client identity with its certificates in DER; the first is the person's own. */
export interface HeldIdentity extends ClientIdentity {
  readonly certificates: readonly [Buffer, ...Buffer[]]
}

/** A PKCS #12 file and its password. */
interface Pkcs12File {
  readonly file: string
  readonly password: string
  /** The name by which the person gave the file, for sentences. */
  readonly shown: string
}

/** A place where browsers look for the person's client certificates. */
export interface ClientCertificateStore<
  Identity extends ClientIdentity = ClientIdentity,
  File = Pkcs12File,
> {
  readonly id: string
  readonly kind: 'nss' | 'system'
  readonly title: string
  availability(): Promise<Available | Unavailable>
  has(identity: Identity): Promise<boolean>
  /**
   * Installs the identity; does nothing when it is already there. Browsers show the nickname, or
   * without one the name in the file.
   */
  install(pkcs12: File, identity: Identity, nickname?: string): Promise<void>
  /**
   * Removes this certificate, its key, and the issuers that came with it. Does nothing when the
   * certificate is absent.
   */
  remove(identity: Identity): Promise<void>
}

/** Returns the identity of these certificates in DER; the first is the person's own. */
export function identityOf(certificates: readonly [Buffer, ...Buffer[]]): HeldIdentity {
  const [own, ...others] = certificates
  return { fingerprint: fingerprintOf(own), issuers: others.map(fingerprintOf), certificates }
}

/**
 * Returns the identity in a PEM file, whose first certificate is the person's own; `null`: the file
 * holds no certificate.
 */
export function identityOfPem(text: string): HeldIdentity | null {
  const [own, ...others] = certificatesIn(text)
  return own === undefined ? null : identityOf([own, ...others])
}

/** Returns the SHA-1 of the DER in upper-case hex, by which macOS and Windows find certificates. */
export const sha1 = (der: Buffer): string =>
  createHash('sha1').update(der).digest('hex').toUpperCase()
