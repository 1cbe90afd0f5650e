import { createHash } from 'node:crypto'
import { certificatesIn, fingerprintOf } from './pem.ts'
import type { Available, Unavailable } from './trust-store.ts'

/**
 * A person's client certificate and the certificates that came with it, each by the SHA-256 of its
 * DER, lower-case hex.
 */
export interface ClientIdentity {
  readonly fingerprint: string
  readonly issuers: readonly string[]
}

/** A client identity with its certificates, DER: the person's own first. */
export interface HeldIdentity extends ClientIdentity {
  readonly certificates: readonly [Buffer, ...Buffer[]]
}

/** A PKCS #12 file and its password. */
interface Pkcs12File {
  readonly file: string
  readonly password: string
  /** What the person called the file. */
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
  /** Idempotent. Browsers show the nickname; without one, the name in the file. */
  install(pkcs12: File, identity: Identity, nickname?: string): Promise<void>
  /** Removes this certificate, its key, and the issuers that came with it; absent is success. */
  remove(identity: Identity): Promise<void>
}

/** The identity of some certificates, DER; the first is the person's own. */
export function identityOf(certificates: readonly [Buffer, ...Buffer[]]): HeldIdentity {
  const [own, ...others] = certificates
  return { fingerprint: fingerprintOf(own), issuers: others.map(fingerprintOf), certificates }
}

/** The identity in a PEM file, whose first certificate is the person's own; `null`: it has none. */
export function identityOfPem(text: string): HeldIdentity | null {
  const [own, ...others] = certificatesIn(text)
  return own === undefined ? null : identityOf([own, ...others])
}

/** SHA-1 of the DER, upper-case hex: macOS and Windows find certificates by it. */
export const sha1 = (der: Buffer): string =>
  createHash('sha1').update(der).digest('hex').toUpperCase()
