import { createHash } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { randomSerialNumber } from '../x509/certificate.ts'
import type { Identifier } from '../x509/identifier.ts'
import { generateKeys, keyTypes, type KeyPairDer, type KeyType } from '../x509/keys.ts'
import { encodePem } from '../x509/pem.ts'
import {
  day,
  defaultDays,
  leafValidity,
  signClientLeaf,
  signSelfSigned,
  signServerLeaf,
  type LeafFields,
  type Validity,
} from '../x509/profiles.ts'
import { parseSubject } from '../x509/subject.ts'
import { signingOf, type Hierarchy, type Issuer, type LeafUse } from './issuers.ts'
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

export interface ServerOptions extends LeafOptions {
  /** What is wrong with it; default: nothing. `expired` and `not-yet-valid` set the dates. */
  readonly fault?: CertificateFault
}

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
  readonly notBefore: Date
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
   * await using files = await certificate.files()
   * spawn('nginx', ['-g', `ssl_certificate ${files.certPath}; …`])
   */
  readonly files: () => Promise<CertificateFiles>
}

/** A leaf that was signed, and the issuer whose CRL could list it; `null`: none of ours. */
export interface SignedLeaf {
  readonly issuer: Issuer | null
  readonly certificate: Omit<EphemeralCertificate, 'files'>
}

export interface LeafRequest {
  readonly use: LeafUse
  readonly identifiers: readonly Identifier[]
  readonly options: ServerOptions
}

/** Signs a leaf below `hierarchy`; `other` returns another authority, for the wrong issuer. */
export async function signEphemeralLeaf(
  { use, identifiers, options }: LeafRequest,
  hierarchy: Hierarchy,
  other: () => Promise<Hierarchy>,
  now: Date,
): Promise<SignedLeaf> {
  const { keyType = 'p256', fault, subject } = options
  checkOptions(use, options)
  const validity = validityFor(options, hierarchy.validity.notAfter, now)
  const named: readonly Identifier[] =
    fault === 'wrong-name' ? [{ type: 'dns', value: 'wrong-name.invalid' }] : identifiers
  const keys = await generateKeys(keyType)
  const fields: LeafFields = {
    serialNumber: randomSerialNumber(),
    spki: keys.spki,
    rsa: keyType.startsWith('rsa'),
    identifiers: named,
    subject: subject === undefined ? undefined : parseSubject(subject),
    ...validity,
  }
  const issuer =
    fault === 'self-signed'
      ? null
      : await (fault === 'wrong-issuer' ? await other() : hierarchy).issuer(use)
  const der = await (issuer === null
    ? signSelfSigned(fields, signingOf(keys), use)
    : signers[use](fields, issuer.signer))
  const chain = issuer === null || fault === 'no-intermediate' ? '' : issuer.pem
  if (fault === 'revoked') issuer?.revoked.push(revocationOf(fields.serialNumber, now))
  return {
    issuer: fault === 'wrong-issuer' ? null : issuer,
    certificate: {
      cert: encodePem('CERTIFICATE', der) + chain,
      key: pemOf(keys),
      ca: hierarchy.root.pem,
      names: named.map(({ value }) => value),
      ...validity,
      serialNumber: fields.serialNumber.toString('hex'),
      fingerprint: createHash('sha256').update(der).digest('hex'),
    },
  }
}

const signers = { servers: signServerLeaf, clients: signClientLeaf }

const pemOf = ({ pkcs8 }: KeyPairDer): string => encodePem('PRIVATE KEY', pkcs8)

/** An entry of a CRL, without a reason. */
export const revocationOf = (serialNumber: Buffer, revocationDate: Date) =>
  ({ serialNumber, revocationDate, reason: 'unspecified' }) as const

/** Refuses what only a caller without types can pass. Throws `usage`. */
function checkOptions(use: LeafUse, { keyType = 'p256', fault }: ServerOptions): void {
  if (!keyTypes.includes(keyType))
    throw new RootlingError('usage', `${keyType} is no type of key.`, {
      hint: `keyType: ${keyTypes.map((type) => `'${type}'`).join(' | ')}`,
    })
  const allowed: readonly string[] =
    use === 'servers' ? certificateFaults : certificateFaults.filter((one) => one !== 'wrong-name')
  if (fault === undefined || allowed.includes(fault)) return
  const holder = use === 'servers' ? 'server' : 'client'
  throw new RootlingError('usage', `${fault} is no fault of a ${holder}'s certificate.`, {
    hint: `fault: ${allowed.map((one) => `'${one}'`).join(' | ')}`,
  })
}

function validityFor({ fault, ...dates }: ServerOptions, issuerEnd: Date, now: Date): Validity {
  const usual = leafValidity(now, defaultDays, issuerEnd)
  const at = (days: number): Date => new Date(usual.notBefore.getTime() + days * day)
  // An hour is beyond what clients forgive in a clock that is wrong.
  if (fault === 'expired') return { notBefore: at(-30), notAfter: usual.notBefore }
  if (fault === 'not-yet-valid') return { notBefore: at(1), notAfter: usual.notAfter }
  const { notBefore = usual.notBefore, notAfter = usual.notAfter } = dates
  for (const [name, date] of Object.entries({ notBefore, notAfter }))
    if (!isDate(date))
      throw new RootlingError('usage', `${name} is no date between 1950 and 9999.`, {
        hint: `${name}: new Date('2030-01-31')`,
      })
  if (notAfter < notBefore)
    throw new RootlingError(
      'usage',
      `The certificate would end on ${notAfter.toISOString()}, before it begins on ${notBefore.toISOString()}.`,
      { hint: 'Give notBefore too, or a later notAfter' },
    )
  return { notBefore: wholeSeconds(notBefore), notAfter: wholeSeconds(notAfter) }
}

/** Whether a certificate can hold a date (RFC 5280 §4.1.2.5). */
function isDate(date: Date): boolean {
  const year = new Date(date).getUTCFullYear()
  return year >= 1950 && year <= 9999
}

const wholeSeconds = (date: Date): Date => new Date(Math.floor(date.getTime() / 1000) * 1000)
