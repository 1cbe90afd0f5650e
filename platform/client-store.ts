import { createHash } from 'node:crypto'
import { certificatesIn, fingerprintOf } from './pem.ts'
import type { Available, Unavailable } from './trust-store.ts'

/** A certificate that a person shows to servers, by its SHA-256 (lower-case hex), and those that came with it. */
export interface ClientIdentity {
  readonly fingerprint: string
  readonly issuers: readonly string[]
}

/** The same with the certificates at hand, DER: the person's own first. */
export interface HeldIdentity extends ClientIdentity {
  readonly certificates: readonly [Buffer, ...Buffer[]]
}

/** A PKCS #12 file and what opens it. */
interface Pkcs12File {
  readonly file: string
  readonly password: string
  /** What the person called the file. */
  readonly shown: string
}

/** A place where browsers look for certificates of the person. */
export interface ClientCertificateStore<
  Identity extends ClientIdentity = ClientIdentity,
  File = Pkcs12File,
> {
  readonly id: string
  readonly kind: 'nss' | 'system'
  readonly title: string
  availability(): Promise<Available | Unavailable>
  has(identity: Identity): Promise<boolean>
  /** Idempotent. A nickname is what browsers call it; without one it has the file's own. */
  install(pkcs12: File, identity: Identity, nickname?: string): Promise<void>
  /** Takes out this certificate, its key, and issuers that came with it; absent is success. */
  remove(identity: Identity): Promise<void>
}

/** What certificates are held under: the first is the person's own. */
export function identityOf(certificates: readonly [Buffer, ...Buffer[]]): HeldIdentity {
  const [own, ...others] = certificates
  return { fingerprint: fingerprintOf(own), issuers: others.map(fingerprintOf), certificates }
}

/** The identity of a PEM file: its first certificate, and those after it; `null`: there is none. */
export function identityOfPem(text: string): HeldIdentity | null {
  const [own, ...others] = certificatesIn(text)
  return own === undefined ? null : identityOf([own, ...others])
}

/** Upper-case, as macOS and Windows write what they find certificates by. */
export const sha1 = (der: Buffer): string =>
  createHash('sha1').update(der).digest('hex').toUpperCase()
