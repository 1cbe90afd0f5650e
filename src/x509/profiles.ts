import { randomBytes } from 'node:crypto'
import {
  randomSerialNumber,
  signCertificate,
  distinguishedName,
  type Signer,
} from './certificate.ts'
import { sequence } from './asn1.ts'
import * as extension from './extensions.ts'
import type { Identifier } from './identifier.ts'
import { keyIdentifier } from './keys.ts'
import type { NameConstraints } from './name-constraints.ts'
import { oids } from './oids.ts'
import { mostCommonName } from './subject.ts'

const hour = 3_600_000
export const day = 24 * hour
/**
 * The longest lifetime of a leaf. Apple refuses a longer one, also under roots that a user added.
 */
export const maximumDays = 825
export const defaultDays = 397
/**
 * The longest lifetime of a leaf that is short-lived, so that it ends soon enough without a
 * revocation: the number of the CA/Browser Forum's Baseline Requirements (§1.6.1) since March 2026.
 */
const shortDays = 7

const bit = extension.keyUsageBits
const rootOrganization = 'Rootling development CA'
const leafOrganization = 'Rootling development certificate'

export interface Validity {
  readonly notBefore: Date
  readonly notAfter: Date
}

/** The validity of roots and intermediates: from a day ago to ten years from now. */
export function authorityValidity(now: Date): Validity {
  return {
    notBefore: wholeSeconds(now.getTime() - day),
    notAfter: wholeSeconds(now.getTime() + 3650 * day),
  }
}

/**
 * Returns a validity of `days`, to the second, or of fewer where the issuer ends earlier. It begins
 * an hour ago, for clocks that are slow.
 */
export function leafValidity(now: Date, days: number, issuerNotAfter: Date): Validity {
  const notBefore = wholeSeconds(now.getTime() - hour)
  // Both ends belong to the validity (RFC 5280 §4.1.2.5): hence one second less.
  const end = notBefore.getTime() + days * day - 1000
  return { notBefore, notAfter: new Date(Math.min(end, issuerNotAfter.getTime())) }
}

/** Whether a validity is that of a short-lived leaf; both ends belong to it. */
export const isShortLived = ({ notBefore, notAfter }: Validity): boolean =>
  notAfter.getTime() + 1000 - notBefore.getTime() <= shortDays * day

/** Reads a validity from dates in ISO 8601, as they are stored. */
export const parseValidity = (dates: {
  readonly notBefore: string
  readonly notAfter: string
}): Validity => ({ notBefore: new Date(dates.notBefore), notAfter: new Date(dates.notAfter) })

/** When a certificate is due for renewal: after two thirds of its lifetime; milliseconds. */
export function renewalTime({ notBefore, notAfter }: Validity): number {
  const begin = notBefore.getTime()
  return begin + ((notAfter.getTime() - begin) * 2) / 3
}

/** Returns the whole days until `notAfter`; negative when it has passed. */
export function daysLeft(notAfter: Date, now: Date): number {
  return Math.floor((notAfter.getTime() - now.getTime()) / day)
}

/**
 * Whether a certificate is due for renewal. It is due before its notBefore too, as when the clock
 * was set back.
 */
export const isDueForRenewal = (validity: Validity, now: Date): boolean =>
  now < validity.notBefore || now.getTime() >= renewalTime(validity)

function wholeSeconds(milliseconds: number): Date {
  return new Date(Math.floor(milliseconds / 1000) * 1000)
}

/**
 * What the certificates below a root are for. Trust stores hold only roots of `servers`. A root of
 * `private` is for programs that are given its file, and a root of `clients` or `mail` for servers
 * and mail programs that are.
 *
 * @inline
 */
export type AuthorityUse = 'servers' | 'private' | 'clients' | 'mail'

const titles: Readonly<Record<AuthorityUse, string | null>> = {
  servers: null,
  private: 'private',
  clients: 'client',
  mail: 'mail',
}

/**
 * The one purpose (extKeyUsage) that an intermediate permits. Were it permitted clientAuth too, a
 * thief of a server scope's key could be any client to a server that trusts the root.
 */
const permittedPurpose: Readonly<Record<AuthorityUse, Buffer>> = {
  servers: oids.serverAuth,
  private: oids.serverAuth,
  clients: oids.clientAuth,
  mail: oids.emailProtection,
}

/**
 * Returns the subject of a root or an intermediate. It contains the key's hash, so that no two
 * authorities look alike in a trust store's list. `authority`: the name of an authority that is not
 * the default one.
 */
export function authorityName(
  role: 'root' | 'issuing',
  use: AuthorityUse,
  keyHash: string,
  authority?: string,
): Buffer {
  const words = ['Rootling', titles[use], role, authority, keyHash.slice(0, 8)]
  return distinguishedName(rootOrganization, words.filter(Boolean).join(' '))
}

export interface AuthorityFields extends Validity {
  readonly name: Buffer
  readonly use: AuthorityUse
  readonly spki: Buffer
  /** `null`: may sign any name. */
  readonly constraints: NameConstraints | null
}

/**
 * Signs a root with its own key. The root holds the constraints, and may have one intermediate
 * below it. A root that is not for servers says so, so that it can be kept out of trust stores.
 */
export function signRoot(fields: AuthorityFields, signer: Signer): Promise<Buffer> {
  const purpose = permittedPurpose[fields.use]
  const forServers = purpose === oids.serverAuth
  return signAuthority(fields, signer, 1, forServers ? [] : [extension.extKeyUsage([purpose])])
}

/**
 * Signs the intermediate that issues leaves. It may have no CA below it, and holds the same
 * constraints as the root, since Java reads only those of the intermediate.
 */
export function signIntermediate(fields: AuthorityFields, signer: Signer): Promise<Buffer> {
  return signAuthority(fields, signer, 0, [
    extension.extKeyUsage([permittedPurpose[fields.use]]),
    extension.authorityKeyIdentifier(signer.keyIdentifier),
  ])
}

/**
 * Signs two copies of a root for the programs that would take a common name for a host: OpenSSL and
 * what is built on it. They have the root's subject and key.
 *
 * `excluding` excludes every subject but the empty one. It applies to leaves alone if the
 * intermediate has the root's own subject (RFC 5280 §6.1.4 (b)). `notCa` is for rustls, which
 * refuses every chain below `excluding`, but takes any certificate with the root's subject and key
 * as a root. The others pass it over: it is no CA, and its subjectKeyIdentifier is another.
 */
export async function signRootCopies(
  fields: AuthorityFields,
  constraints: NameConstraints,
  signer: Signer,
): Promise<{ excluding: Buffer; notCa: Buffer }> {
  const { name: subject, spki, notBefore, notAfter } = fields
  const sign = (extensions: Buffer[]): Promise<Buffer> => {
    const serialNumber = randomSerialNumber()
    return signCertificate({ serialNumber, subject, spki, notBefore, notAfter, extensions }, signer)
  }
  return {
    excluding: await sign([
      extension.basicConstraints(true, 1),
      extension.keyUsage([bit.keyCertSign, bit.cRLSign]),
      extension.subjectKeyIdentifier(keyIdentifier(spki)),
      extension.nameConstraintsWithoutSubjects(constraints),
    ]),
    notCa: await sign([
      extension.basicConstraints(false, null),
      extension.keyUsage([bit.digitalSignature]),
      extension.subjectKeyIdentifier(randomBytes(20)),
      extension.nameConstraints(constraints),
    ]),
  }
}

function signAuthority(
  fields: AuthorityFields,
  signer: Signer,
  pathLength: number,
  more: Buffer[],
): Promise<Buffer> {
  const extensions = [
    extension.basicConstraints(true, pathLength),
    extension.keyUsage([bit.keyCertSign, bit.cRLSign]),
    extension.subjectKeyIdentifier(keyIdentifier(fields.spki)),
    ...more,
    ...(fields.constraints === null ? [] : [extension.nameConstraints(fields.constraints)]),
  ]
  const { name: subject, spki, notBefore, notAfter } = fields
  const serialNumber = randomSerialNumber()
  return signCertificate({ serialNumber, subject, spki, notBefore, notAfter, extensions }, signer)
}

export interface LeafFields extends Validity {
  readonly serialNumber: Buffer
  readonly spki: Buffer
  readonly rsa: boolean
  readonly identifiers: readonly Identifier[]
  /** A name, DER; default: one that is made from `identifiers`. */
  readonly subject?: Buffer | undefined
  /** Default: none, since some clients refuse a certificate whose responder does not answer. */
  readonly revocationUrls?: extension.RevocationUrls | undefined
  /**
   * Says that nobody publishes whether the certificate was revoked (RFC 9608); it has no
   * `revocationUrls` then. Default: no.
   */
  readonly noRevAvail?: boolean | undefined
}

/**
 * Signs a server's leaf. Without `subject` it has no common name, since OpenSSL and GnuTLS apply
 * the name constraints to that too.
 */
export function signServerLeaf(fields: LeafFields, signer: Signer): Promise<Buffer> {
  const subject = fields.subject ?? distinguishedName(leafOrganization, null)
  return signLeaf(fields, subject, [oids.serverAuth], signer)
}

/**
 * Signs a client's leaf, for clientAuth alone. Its common name is its first name, since many
 * servers know a client by the common name.
 */
export function signClientLeaf(fields: LeafFields, signer: Signer): Promise<Buffer> {
  const subject = fields.subject ?? namedAfterFirst(fields)
  return signLeaf(fields, subject, [oids.clientAuth], signer)
}

/** Signs a leaf for S/MIME. */
export function signMailLeaf(fields: LeafFields, signer: Signer): Promise<Buffer> {
  const subject = fields.subject ?? namedAfterFirst(fields)
  return signLeaf(fields, subject, [oids.emailProtection], signer)
}

function namedAfterFirst({ identifiers }: LeafFields): Buffer {
  return distinguishedName(leafOrganization, identifiers[0]?.value.slice(0, mostCommonName) ?? null)
}

/** The subject of leaves in hardened scopes; their subjectAltName is critical (§4.1.2.6). */
export const emptyName: Buffer = sequence()

/** Signs a leaf with its own key; the leaf's name says that it is not trusted. */
export function signSelfSigned(
  fields: LeafFields,
  signer: Pick<Signer, 'algorithm' | 'sign'>,
  use: 'servers' | 'clients' = 'servers',
): Promise<Buffer> {
  const name = distinguishedName('Rootling self-signed certificate (untrusted)', null)
  const self = { ...signer, name, keyIdentifier: keyIdentifier(fields.spki) }
  return signLeaf(fields, name, [permittedPurpose[use]], self)
}

function signLeaf(
  fields: LeafFields,
  subject: Buffer,
  purposes: readonly Buffer[],
  signer: Signer,
): Promise<Buffer> {
  const { ocsp, crl } = fields.revocationUrls ?? {}
  const usage = fields.rsa ? [bit.digitalSignature, bit.keyEncipherment] : [bit.digitalSignature]
  // To encrypt a mail for a key of a curve, its holder and the sender agree on a key (RFC 8551).
  if (purposes.includes(oids.emailProtection) && fields.spki.includes(oids.ecPublicKey))
    usage.push(bit.keyAgreement)
  return signCertificate(
    {
      ...fields,
      subject,
      extensions: [
        extension.basicConstraints(false, null),
        extension.keyUsage(usage),
        extension.extKeyUsage(purposes),
        extension.subjectKeyIdentifier(keyIdentifier(fields.spki)),
        extension.authorityKeyIdentifier(signer.keyIdentifier),
        ...(fields.identifiers.length === 0
          ? []
          : [extension.subjectAltName(fields.identifiers, subject.equals(emptyName))]),
        ...(ocsp === undefined ? [] : [extension.authorityInfoAccess(ocsp)]),
        ...(crl === undefined ? [] : [extension.cRLDistributionPoints(crl)]),
        ...(fields.noRevAvail === true ? [extension.noRevAvail()] : []),
      ],
    },
    signer,
  )
}
