import { createHash } from 'node:crypto'
import { RootlingError } from '../errors.ts'
import { randomSerialNumber } from '../x509/certificate.ts'
import type { Identifier } from '../x509/identifier.ts'
import { checkKeyType, generateKeys, type KeyPairDer } from '../x509/keys.ts'
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
import { certificateFaults, type EphemeralCertificate, type ServerOptions } from './certificate.ts'
import { signingOf, type Hierarchy, type Issuer, type LeafUse } from './issuers.ts'

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
  checkKeyType(keyType)
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
