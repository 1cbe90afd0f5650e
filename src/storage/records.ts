import type { Identifier } from '../x509/identifier.ts'
import type { Revocation } from '../x509/revocation.ts'
import { shownSubject } from '../x509/shown-subject.ts'
import { commonNameIn } from '../x509/subject.ts'

/**
 * RFC 5280's extKeyUsage serverAuth or clientAuth.
 *
 * @inline
 */
export type Purpose = 'server' | 'client'

/**
 * What the record of a self-signed certificate has in place of a scope's name. No scope can have
 * this name.
 */
export const selfSignedScope = '(self-signed)'

/** The longest time limit of an `onRenew` command: a day. */
export const longestHookSeconds = 86_400

/** Returns a serial number to compare: in lower case, without the zeros that some programs leave out. */
export const bare = (serialNumber: string): string => serialNumber.toLowerCase().replace(/^0+/, '')

/** How many digits of a serial number people are shown. */
export const shortSerialDigits = 8

/** Returns the first digits of a serial number, which commands take for the whole. */
export const shortSerial = ({ serialNumber }: Pick<CertificateRecord, 'serialNumber'>): string =>
  serialNumber.slice(0, shortSerialDigits)

/**
 * Returns whom a certificate is for, in words: its names, as `show` writes them, or its subject where
 * it has none.
 */
export const describeHolder = (
  { identifiers, subject = '' }: Pick<CertificateRecord, 'identifiers' | 'subject'>,
  show = (name: string): string => name,
): string =>
  identifiers.length === 0
    ? shownSubject(commonNameIn(subject) ?? subject)
    : identifiers.map(({ value }) => show(value)).join(', ')

/** The modes that files with a key may have: for its owner alone, or readable by its group. */
export const keyModes = ['0600', '0640', '0400', '0440'] as const
export type KeyMode = (typeof keyModes)[number]

/** An issued certificate; recorded before its files are written. */
export interface CertificateRecord {
  /** Lower-case hex, 32 digits. */
  readonly serialNumber: string
  /** Name of the scope that signed it. */
  readonly scope: string
  /** The names that it is for. */
  readonly identifiers: readonly Identifier[]
  /** When it begins; ISO 8601, UTC. */
  readonly notBefore: string
  /** ISO 8601, UTC. */
  readonly notAfter: string
  /** A KeyType, or the type of the key in a certification request. */
  readonly keyType: string
  /** Whom it is for: a server, or a client. */
  readonly purpose: Purpose
  /** The subject that was asked for (RFC 4514); absent: it was made from `identifiers`. */
  readonly subject?: string
  /** SHA-256 of the certificate's DER, hex. */
  readonly fingerprint: string
  /** An absolute path; `null`: not written to a file, as when the certificate is printed. */
  readonly certPath: string | null
  /** As `certPath`, of the key. */
  readonly keyPath: string | null
  /** Further files of the certificate, which a renewal writes too. */
  readonly extra?: readonly ExtraFile[]
  /** The mode of the files that hold the key; absent: 0600. */
  readonly keyMode?: KeyMode
  /** A command that a shell runs after each renewal. */
  readonly onRenew?: string
  /** How many seconds `onRenew` may run; absent: 60. */
  readonly onRenewSeconds?: number
  /** The URL below which the certificate's OCSP and CRL are, according to the certificate. */
  readonly revocationUrl?: string
  /**
   * Who chose `revocationUrl`. `daemon`: it is the daemon's, and a renewal takes the URL that the
   * daemon then has. `none`: there is none, and renewals have none either. Absent: a renewal keeps
   * the URL; without one it acts as for `daemon`.
   */
  readonly responder?: 'daemon' | 'none'
}

/**
 * A further file: `chain` holds the issuers, `der` the leaf, `full` chain and key. `pkcs12` holds
 * chain and key under a password.
 */
export interface ExtraFile {
  /** What it holds, and how. */
  readonly format: 'chain' | 'der' | 'full' | 'pkcs12'
  /** Its absolute path. */
  readonly path: string
  /**
   * The file whose first line is the password of a PKCS #12 file. Absent: the password is not kept,
   * and a renewal must be given it.
   */
  readonly passwordFile?: string
  /** With `pkcs12`: it is protected as old systems need it. */
  readonly legacy?: true
}

/** All issued certificates, oldest first, and which of them are revoked. */
export interface Inventory {
  readonly certificates: readonly CertificateRecord[]
  /** The revocations by serial number. A hold that was released is not among them. */
  readonly revocations: ReadonlyMap<string, Revocation>
  /** The serial numbers of certificates that are neither listed nor renewed any more. */
  readonly forgotten: ReadonlySet<string>
}
