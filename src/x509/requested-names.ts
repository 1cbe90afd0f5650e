import { RootlingError } from '../errors.ts'
import * as read from './asn1-reader.ts'
import type { DerValue } from './asn1-reader.ts'
import { mostNames, parseIdentifier, type Identifier } from './identifier.ts'
import { ipText } from './ip.ts'

const what = 'The request'
const commonName = '2.5.4.3'
/**
 * The attributes that ask for extensions: that of RFC 2985 §5.4.2, and the one that Windows wrote
 * before it.
 */
const extensionRequests = new Set(['1.2.840.113549.1.9.14', '1.3.6.1.4.1.311.2.1.14'])

/**
 * Returns the names that a CertificationRequest asks for in its attributes or, without any there,
 * by its common names. Nothing else of the request is copied into a certificate. A request for a CA
 * or for unknown extensions is refused, so that nobody believes that the certificate has them.
 */
export function requestedNames(
  common: readonly string[],
  attributes: DerValue | undefined,
): Identifier[] {
  const names =
    extensionsOf(attributes)
      .map(readExtension)
      .find((found) => found !== null) ?? hostsAmong(common)
  checkCount(names)
  const unique = new Map(names.map((name) => [`${name.type}:${name.value}`, name]))
  return [...unique.values()]
}

function checkCount(names: readonly unknown[]): void {
  if (names.length <= mostNames) return
  const most = `Make several requests, of ${mostNames} names at most`
  throw refused(`asks for ${names.length} names, too many for one certificate`, most)
}

/** The common names of a request's subject, unchanged. */
export function commonNames(subject: DerValue | undefined): string[] {
  return read
    .expectSequence(subject, what)
    .flatMap((relative) => read.expectSet(relative, what))
    .map((attribute) => read.expectSequence(attribute, what))
    .filter(([type]) => read.expectOid(type, what) === commonName)
    .map(([, value]) => read.expectText(value, what))
}

/** The common names that are hosts; others, such as "My server", are for people. */
function hostsAmong(common: readonly string[]): Identifier[] {
  return common
    .map(parsedOrNull)
    .filter((name) => name !== null)
    .filter(({ type }) => type === 'dns' || type === 'ip')
}

function parsedOrNull(text: string): Identifier | null {
  try {
    return parseIdentifier(text)
  } catch {
    return null
  }
}

/** The extensions asked for; attributes such as a challenge password are ignored. */
function extensionsOf(attributes: DerValue | undefined): readonly DerValue[] {
  if (attributes === undefined) return []
  if (!read.isContext(attributes, 0)) throw read.unexpected(what, 'attributes')
  const lists: DerValue[] = []
  for (const attribute of attributes.children) {
    const [type, values] = read.expectSequence(attribute, what)
    if (extensionRequests.has(read.expectOid(type, what)))
      lists.push(...read.expectSet(values, what))
  }
  if (lists.length > 1) throw read.unexpected(what, 'one list of extensions')
  const extensions = lists[0] === undefined ? [] : read.expectSequence(lists[0], what)
  const types = extensions.map((extension) => extension.children[0]?.der.toString('hex'))
  if (new Set(types).size < types.length) throw read.unexpected(what, 'each extension once')
  return extensions
}

/** The names of a subjectAltName; `null`: an extension that is allowed in a request and ignored. */
function readExtension(extension: DerValue): Identifier[] | null {
  const [type, ...rest] = read.expectSequence(extension, what)
  const oid = read.expectOid(type, what)
  if (rest.length === 2) read.expectBoolean(rest.shift(), what)
  if (rest.length !== 1) throw read.unexpected(what, 'an extension')
  const value = read.readDer(read.expectOctets(rest[0], what), what)
  switch (oid) {
    case '2.5.29.17':
      return alternativeNames(value)
    case '2.5.29.15':
      // Bits 5 and 6 are keyCertSign and cRLSign (RFC 5280 §4.2.1.3).
      if (read.expectNamedBits(value, what).some((bit) => bit === 5 || bit === 6))
        throw refused('asks for a key that signs certificates', 'Leave keyCertSign and cRLSign out')
      return null
    case '2.5.29.19': {
      const [ca] = read.expectSequence(value, what)
      if (read.isUniversal(ca, 1) && read.expectBoolean(ca, what))
        throw refused('asks to be a certificate authority', 'Leave CA:TRUE out')
      return null
    }
    case '2.5.29.37': // extKeyUsage: the profile decides
    case '2.5.29.14': // subjectKeyIdentifier: made from the key
    // What IIS and certreq of Windows add by themselves, which speaks to Windows' own CA alone:
    case '1.2.840.113549.1.9.15': // sMIMECapabilities
    case '1.3.6.1.4.1.311.20.2': // the name of a template
    case '1.3.6.1.4.1.311.21.7': // a template
    case '1.3.6.1.4.1.311.21.10': // application policies: extKeyUsage once more
      return null
    default:
      throw refused(
        `asks for an extension that is never given (${oid.slice(0, 60)})`,
        'Ask only for names: openssl req -new … -addext subjectAltName=DNS:localhost',
      )
  }
}

const nameTypes = ['otherName', 'email', 'dns', 'x400Address', 'directoryName', 'ediPartyName']
const generalNames = [...nameTypes, 'uri', 'ip', 'registeredID']

/** Reads GeneralNames (RFC 5280 §4.2.1.6) and checks each like a name that a user types. */
function alternativeNames(value: DerValue): Identifier[] {
  const values = read.expectSequence(value, what)
  checkCount(values)
  const names = values.map((name) => {
    const type = name.tagClass === 'context' ? generalNames[name.tag] : undefined
    if (type === undefined) throw read.unexpected(what, 'a name')
    if (name.constructed || !['email', 'dns', 'uri', 'ip'].includes(type))
      throw refused(`asks for a name of the type ${type}`, 'Ask for DNS, IP, email or URI names')
    const text = type === 'ip' ? addressText(name.contents) : asciiText(name.contents)
    const identifier = parseIdentifier(text)
    // parseIdentifier forgives spaces around a name that somebody typed.
    if (text !== text.trim()) throw read.unexpected(what, 'a name without spaces')
    if (identifier.type !== type)
      throw new RootlingError(
        'bad-name',
        `The request has ${text} as a name of the type ${type}.`,
        {
          hint: `Ask for it as ${identifier.type}`,
        },
      )
    return identifier
  })
  if (names.length === 0) throw read.unexpected(what, 'a name')
  return names
}

function addressText(octets: Buffer): string {
  if (octets.length !== 4 && octets.length !== 16) throw read.unexpected(what, 'an IP address')
  return ipText(octets)
}

/**
 * Returns an IA5String's characters. Octets beyond ASCII are refused: what they mean would be a
 * guess.
 */
function asciiText(octets: Buffer): string {
  if (octets.some((octet) => octet > 0x7e)) throw read.unexpected(what, 'an ASCII name')
  return octets.toString('latin1')
}

function refused(fault: string, hint: string): RootlingError {
  return new RootlingError('usage', `The request ${fault}.`, { hint })
}
