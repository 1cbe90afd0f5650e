import {
  expectExplicit,
  expectOctets,
  expectOid,
  expectSequence,
  isContext,
  readDer,
  type DerValue,
} from './asn1-reader.ts'
import { ipText } from './ip.ts'
import type { NameConstraints } from './name-constraints.ts'

/** What node:crypto's X509Certificate does not tell. */
export interface CertificateParts {
  /** The subject's DER, as it stands. */
  readonly subject: Buffer
  /** By dotted object identifier: the DER inside the octet string. */
  readonly extensions: ReadonlyMap<string, { readonly critical: boolean; readonly value: Buffer }>
}

const what = 'The certificate'

/** Takes a certificate apart (RFC 5280 §4.1). Throws `bad-der`. */
export function readCertificateParts(der: Buffer): CertificateParts {
  const [tbs] = expectSequence(readDer(der, what), what)
  const fields = expectSequence(tbs, what)
  // The version stands first, as [0], in all but version 1.
  const first = isContext(fields[0], 0) ? 1 : 0
  const subject = fields[first + 4]
  expectSequence(subject, what)
  const tagged = fields.find((field) => isContext(field, 3))
  const list = tagged === undefined ? [] : expectSequence(expectExplicit(tagged, 3, what), what)
  return { subject: subject?.der ?? Buffer.alloc(0), extensions: new Map(list.map(readExtension)) }
}

function readExtension(value: DerValue): [string, { critical: boolean; value: Buffer }] {
  const members = expectSequence(value, what)
  const critical = members.length === 3 && members[1]?.contents[0] === 0xff
  return [expectOid(members[0], what), { critical, value: expectOctets(members.at(-1), what) }]
}

/** The subjectKeyIdentifier; `null`: the certificate has none. */
export function subjectKeyIdentifierOf({ extensions }: CertificateParts): Buffer | null {
  const extension = extensions.get('2.5.29.14')
  return extension === undefined ? null : expectOctets(readDer(extension.value, what), what)
}

/**
 * The permitted names and ranges; `null`: the certificate may sign any name. Mailboxes and URIs
 * are left out, and so are exclusions: what is excluded can only make it narrower.
 */
export function nameConstraintsOf({ extensions }: CertificateParts): NameConstraints | null {
  const extension = extensions.get('2.5.29.30')
  if (extension === undefined) return null
  const trees = expectSequence(readDer(extension.value, what), what)
  const permitted = trees.find((tree) => isContext(tree, 0))?.children ?? []
  const bases = permitted.map((tree) => expectSequence(tree, what)[0])
  const dns = bases
    .filter((base) => isContext(base, 2))
    .map((base) => base.contents.toString('latin1'))
  const ip = bases.filter((base) => isContext(base, 7)).map((base) => rangeText(base.contents))
  return { dns, ip }
}

function rangeText(octets: Buffer): string {
  const half = octets.length / 2
  const bits = [...octets.subarray(half)].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  const prefix = bits.indexOf('0') < 0 ? bits.length : bits.indexOf('0')
  return `${ipText(octets.subarray(0, half))}/${prefix}`
}
