import { RootlingError } from '../errors.ts'
import { printable, shortened } from '../printable.ts'
import { objectIdentifier, sequence, set, tlv, utf8String } from './asn1.ts'

/** The longest common name, in letters (RFC 5280, ub-common-name). */
export const mostCommonName = 64

/** The attributes that a subject may have: their object identifiers, and their most letters. */
const attributes: Readonly<Record<string, { readonly oid: string; readonly most: number }>> = {
  CN: { oid: '2.5.4.3', most: mostCommonName },
  O: { oid: '2.5.4.10', most: 64 },
  OU: { oid: '2.5.4.11', most: 64 },
  L: { oid: '2.5.4.7', most: 128 },
  ST: { oid: '2.5.4.8', most: 128 },
  C: { oid: '2.5.4.6', most: 2 },
  UID: { oid: '0.9.2342.19200300.100.1.1', most: 256 },
  DC: { oid: '0.9.2342.19200300.100.1.25', most: 63 },
  EMAILADDRESS: { oid: '1.2.840.113549.1.9.1', most: 255 },
}

/** Attributes that are ASCII by definition (RFC 4519 §2.4, RFC 2985 §5.2.1). */
const asciiAttributes = new Set(['DC', 'EMAILADDRESS'])

/** Tags of ASN.1 (X.680). RFC 5280 requires these types for a country, a domain and an address. */
const printableString = 0x13
const ia5String = 0x16

const mostAttributes = 20
/** The longest text form of a subject that is read, in letters. */
export const longestSubject = 2000
const example = "'CN=alice,OU=Engineering,O=Example'"

interface Attribute {
  readonly type: string
  readonly value: string
}

/**
 * Encodes a subject from its text form (RFC 4514), such as `CN=alice,O=Example`: as there, the last
 * attribute comes first in the certificate. Throws `usage`.
 */
export function parseSubject(text: string): Buffer {
  if (text.startsWith('/'))
    throw new RootlingError('usage', `${shown(text)} is the form of openssl, with slashes.`, {
      hint: `Write the last attribute first, with commas: ${example}`,
    })
  if (text.length > longestSubject)
    throw new RootlingError('usage', `A subject of ${text.length} letters is too long.`, {
      hint: `Use ${longestSubject} at most`,
    })
  const found = splitSubject(text).map((part) => parseAttribute(part, text))
  if (found.length > mostAttributes)
    throw new RootlingError('usage', `A subject of ${found.length} attributes is too long.`, {
      hint: `Name ${mostAttributes} at most`,
    })
  if (found.filter(({ type }) => type === 'CN').length > 1)
    throw new RootlingError(
      'usage',
      `${shown(text)} has two common names, and servers read one of them.`,
      {
        hint: `Name one: ${example}`,
      },
    )
  return sequence(...found.toReversed().map(encodeAttribute))
}

/**
 * Returns the text form of a common name (RFC 4514 §2.4), which `parseSubject` takes.
 */
export function commonNameText(name: string): string {
  const escaped = name.replace(/[\\,+"<>;=#]/g, String.raw`\$&`)
  return `CN=${escaped.replace(/^ | $/g, String.raw`\ `)}`
}

/** Returns the name in what `commonNameText` returned; `null`: the subject has more, or another. */
export function commonNameIn(subject: string): string | null {
  const name = /^CN=((?:[^,\\]|\\.)+)$/su.exec(subject)?.[1]?.replace(/\\(.)/gsu, '$1')
  return name !== undefined && commonNameText(name) === subject ? name : null
}

/** A text for an error's sentence, cut where it is long. */
const shown = (text: string): string => printable(shortened(text, 100))

/** Splits a text at the commas that no backslash stands before. */
const splitSubject = (text: string): string[] =>
  text.match(/(?:[^,\\]|\\.?)+|(?<=^|,)(?=,|$)/gsu) ?? []

function parseAttribute(part: string, text: string): Attribute {
  const match = /^\s*([A-Za-z]+)\s*=\s*(.*)$/su.exec(part)
  const type = match?.[1]?.toUpperCase() ?? ''
  const known = attributes[type]
  if (match === null || known === undefined)
    throw new RootlingError(
      'usage',
      part.trim() === ''
        ? 'The subject is empty, or has a comma too many.'
        : `${shown(part.trim())} is no attribute of a subject.`,
      {
        hint: `Known are CN, O, OU, L, ST, C, UID, DC and emailAddress: ${example}`,
      },
    )
  const value = unescape(match[2] ?? '', text)
  const { length } = Array.from(value)
  if (length === 0 || length > known.most || !isPlain(type, value))
    throw new RootlingError('usage', `${shown(part.trim())} cannot be in a subject.`, {
      hint: `${match[1]} takes 1 to ${known.most} ${asciiAttributes.has(type) || type === 'C' ? 'ASCII letters' : 'letters'}, without control or format characters`,
    })
  return { type, value }
}

/** Removes the backslashes, and refuses what has a meaning without one (RFC 4514 §2.4). */
function unescape(value: string, text: string): string {
  const refuse = (): never => {
    throw new RootlingError('usage', `${shown(text)} has a character that needs a backslash.`, {
      hint: String.raw`Write \, \+ \" \\ \< \> \; for these characters`,
    })
  }
  const trimmed = value.replace(/(?<!\\) +$/u, '')
  if (trimmed.startsWith('#')) return refuse()
  return trimmed.replace(/\\(.)|\\$|["+;<>]/gsu, (_all, escaped: string | undefined) =>
    escaped !== undefined && /[ "#+,;<=>\\]/u.test(escaped) ? escaped : refuse(),
  )
}

function isPlain(type: string, value: string): boolean {
  if (type === 'C') return /^[A-Z]{2}$/i.test(value)
  if (asciiAttributes.has(type)) return /^[\x20-\x7e]+$/.test(value)
  // Format characters, such as those that reverse text, would make two subjects look alike.
  return Buffer.from(value).toString() === value && !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(value)
}

function encodeAttribute({ type, value }: Attribute): Buffer {
  const oid = objectIdentifier(attributes[type]?.oid ?? '')
  if (type === 'C')
    return set(sequence(oid, tlv(printableString, Buffer.from(value.toUpperCase()))))
  if (asciiAttributes.has(type)) return set(sequence(oid, tlv(ia5String, Buffer.from(value))))
  return set(sequence(oid, utf8String(value)))
}
