import { printable } from '../printable.ts'
import { expectOid, expectSequence, expectSet, expectText, type DerValue } from './asn1-reader.ts'
import { ipText } from './ip.ts'

/**
 * A general name (RFC 5280 §4.2.1.6) as text for people; in nameConstraints, an address is a range.
 */
export interface Name {
  /** Which kind of GeneralName it is. */
  readonly type: 'dns' | 'ip' | 'email' | 'uri' | 'directory' | 'other'
  /** The name itself. */
  readonly value: string
}

const what = 'The certificate'

const attributeNames: Readonly<Record<string, string>> = {
  '2.5.4.3': 'CN',
  '2.5.4.5': 'serialNumber',
  '2.5.4.6': 'C',
  '2.5.4.7': 'L',
  '2.5.4.8': 'ST',
  '2.5.4.10': 'O',
  '2.5.4.11': 'OU',
  '1.2.840.113549.1.9.1': 'emailAddress',
  '0.9.2342.19200300.100.1.25': 'DC',
}

/** The attributes of a distinguished name, in order, by their short names such as `CN`. */
export function attributes(name: DerValue | undefined): [type: string, value: string][] {
  return expectSequence(name, what)
    .flatMap((rdn) => expectSet(rdn, what))
    .map((attribute) => {
      const [type, value] = expectSequence(attribute, what)
      const oid = expectOid(type, what)
      return [attributeNames[oid] ?? oid, attributeText(value)]
    })
}

function attributeText(value: DerValue | undefined): string {
  try {
    return printable(expectText(value, what))
  } catch {
    return `#${value?.der.toString('hex') ?? ''}`
  }
}

/** Writes a distinguished name in one line, such as `O=Example, CN=example.test`. */
export function nameText(name: DerValue | undefined): string {
  return attributes(name)
    .map(([type, value]) => `${type}=${value}`)
    .join(', ')
}

/** Reads a GeneralName as text for people; in nameConstraints, an address is a range. */
export function readName(value: DerValue): Name {
  const characters = printable(value.contents.toString('latin1'))
  switch (value.tag) {
    case 1:
      return { type: 'email', value: characters }
    case 2:
      return { type: 'dns', value: characters }
    case 4:
      return { type: 'directory', value: nameText(value.children[0]) }
    case 6:
      return { type: 'uri', value: characters }
    case 7:
      return { type: 'ip', value: addressText(value.contents) }
    default:
      return { type: 'other', value: `[${value.tag}]` }
  }
}

/** Writes an address, or in nameConstraints an address with its mask as a range in CIDR form. */
function addressText(octets: Buffer): string {
  if (octets.length === 4 || octets.length === 16) return ipText(octets)
  if (octets.length !== 8 && octets.length !== 32) return `#${octets.toString('hex')}`
  const half = octets.length / 2
  const mask = [...octets.subarray(half)].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  if (!/^1*0*$/.test(mask)) return `#${octets.toString('hex')}`
  const prefix = mask.indexOf('0') < 0 ? mask.length : mask.indexOf('0')
  return `${ipText(octets.subarray(0, half))}/${prefix}`
}
