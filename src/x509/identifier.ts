import { domainToASCII, domainToUnicode } from 'node:url'
import { RootlingError } from '../errors.ts'
import { printable } from '../printable.ts'
import { ipBytes, ipText, isIP } from './ip.ts'

/** A name that the user typed, parsed; it becomes one GeneralName (RFC 5280 §4.2.1.6). */
export type Identifier =
  | {
      /** What kind of name it is. */
      readonly type: 'dns'
      /** The name as text. */
      readonly value: string
    }
  | {
      /** What kind of name it is. */
      readonly type: 'ip'
      /** The name as text. */
      readonly value: string
    }
  | {
      /** What kind of name it is. */
      readonly type: 'email'
      /** The name as text. */
      readonly value: string
    }
  | {
      /** What kind of name it is. */
      readonly type: 'uri'
      /** The name as text. */
      readonly value: string
    }

/** The most names of one certificate; some clients refuse larger certificates. */
export const mostNames = 250

/**
 * The schemes of URLs that people paste where they mean only the host. URIs of other schemes, such
 * as spiffe:, are identifiers themselves.
 */
const hostSchemes = new Set(['http', 'https', 'ws', 'wss', 'ftp', 'tcp', 'tls', 'ssl'])

/**
 * Parses a host, wildcard, IP address, e-mail address or URI; DNS names come back as lower-case
 * A-labels. Throws `bad-name`, which says what is wrong and what was probably meant.
 */
export function parseIdentifier(text: string): Identifier {
  const input = text.trim()
  if (input === '') throw bad(input, 'is empty', 'Name a host or address, such as localhost')
  if (input.length > 1024) throw bad(`${input.slice(0, 40)}…`, 'is longer than any name can be')
  // oxlint-disable-next-line no-control-regex -- the point is to find control characters
  if (/[\u0000-\u0020\u007f]/.test(input))
    throw bad(
      JSON.stringify(input),
      'contains a space or a control character',
      input.includes(' ') ? 'Give each name by itself' : undefined,
    )
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(input)?.[1]?.toLowerCase()
  if (scheme === 'mailto') throw bad(input, 'is a link, not an address', meant(input.slice(7)))
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(input) || scheme === 'urn')
    return parseUri(input, scheme ?? '')
  if (isIP(input) !== 0) return parseIp(input)
  if (input.includes('@')) return parseEmail(input)
  return { type: 'dns', value: parseDns(input) }
}

function parseUri(input: string, scheme: string): Identifier {
  let url: URL
  try {
    url = new URL(input)
  } catch {
    throw bad(input, 'is not a valid URI')
  }
  if (hostSchemes.has(scheme)) {
    const host = url.hostname.replace(/^\[|\]$/g, '')
    throw bad(input, 'is a URL; a certificate names only its host', meant(host))
  }
  if (!uriCharacters.test(input)) throw bad(input, 'holds characters that a URI cannot')
  if (scheme !== 'urn') checkAuthority(input, url.hostname)
  return { type: 'uri', value: input }
}

/** The characters of RFC 3986 §2, without escapes of control characters. */
const uriCharacters = /^(?:[\w.~:/?#[\]@!$&'()*+,;=-]|%(?:[2-6][\da-f]|7[\da-e]|[89a-f][\da-f]))+$/i

/**
 * Throws `bad-name` unless a URI has a plain host, with or without a port, before its first slash.
 * Programs read a user name, an escape or a wildcard there in different ways, so that one of them
 * could find another host than the one that was checked against the name constraints.
 */
function checkAuthority(input: string, hostname: string): void {
  const authority = input.split('/', 3)[2] ?? ''
  if (authority === '')
    throw bad(
      input,
      'has no host after the //',
      'Write SCHEME://HOST/PATH, as in spiffe://a.test/x',
    )
  const host = authority.replace(/:\d{1,5}$/, '')
  const address = /^\[(.*)\]$/.exec(host)?.[1]
  const plain = address === undefined ? isPlainHost(host) : isIP(address) === 6
  // Of file://localhost/, the parser of URLs drops the host.
  if (plain && (address !== undefined || hostname.toLowerCase() === host.toLowerCase())) return
  throw bad(
    input,
    `has ${JSON.stringify(authority)} as its host, which programs read in different ways`,
    'Name a host alone after the //, as in spiffe://a.test/x',
  )
}

function isPlainHost(host: string): boolean {
  if (isIP(host) === 4) return true
  try {
    return !host.startsWith('*') && parseDns(host) === host.toLowerCase()
  } catch {
    return false
  }
}

function parseIp(input: string): Identifier {
  if (input.includes('%'))
    throw bad(input, 'has a zone, which no certificate carries', meant(input.split('%')[0] ?? ''))
  return { type: 'ip', value: ipText(ipBytes(input)) }
}

function parseEmail(input: string): Identifier {
  const at = input.lastIndexOf('@')
  const local = input.slice(0, at)
  const host = input.slice(at + 1)
  if (!/^[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+$/.test(local) || /^\.|\.\.|\.$/.test(local))
    throw bad(input, 'is not an e-mail address that a certificate can carry')
  if (host === '' || host.includes('*') || isIP(host) !== 0)
    throw bad(input, 'has no host name after the @')
  return { type: 'email', value: `${local}@${parseDns(host, input)}` }
}

/**
 * Returns a host name or wildcard as lower-case A-labels. An error's sentence quotes `whole`, such
 * as the e-mail address that the host is part of.
 */
function parseDns(input: string, whole = input): string {
  checkShape(input, whole)
  const name = input.replace(/\.$/, '')
  const wildcard = name.startsWith('*.')
  const ascii = toAscii(wildcard ? name.slice(2) : name, whole)
  const labels = ascii.split('.')
  for (const label of labels) checkLabel(label, whole)
  const result = wildcard ? `*.${ascii}` : ascii
  if (result.length > 253) throw bad(whole, `is ${result.length} characters long; 253 is the limit`)
  // Browsers take a name whose last label is a number, also a hexadecimal one, for an IPv4 address.
  if (/^(?:\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? ''))
    throw bad(whole, 'looks like an IP address but is not a valid one')
  return result
}

function checkShape(input: string, whole: string): void {
  const bracketed = /^\[(.*?)\](?::\d+)?$/.exec(input)?.[1]
  if (bracketed !== undefined) throw bad(whole, 'has brackets around the address', meant(bracketed))
  if (/\/\d{1,3}$/.test(input) && isIP(input.replace(/\/\d+$/, '')) !== 0)
    throw bad(whole, 'is a range; a certificate names single addresses', meant(input.split('/')[0]))
  const port = /^([^:]+):(\d*)$/.exec(input)
  if (port) throw bad(whole, 'has a port; a certificate is for every port', meant(port[1]))
  if (/[:]/.test(input)) throw bad(whole, 'is not a valid IPv6 address or name')
  if (/[/\\?#]/.test(input))
    throw bad(
      whole,
      'has a path; a certificate names only the host',
      meant(input.split(/[/\\?#]/)[0]),
    )
  if (input.startsWith('.'))
    throw bad(whole, 'starts with a dot', meant(input.replace(/^\.+/, '*.')))
  if (/\.\./.test(input))
    throw bad(whole, 'has two dots in a row', meant(input.replace(/\.{2,}/g, '.')))
  checkWildcard(input, whole)
}

function checkWildcard(input: string, whole: string): void {
  const rest = input.startsWith('*.') ? input.slice(2) : input
  if (input === '*' || input === '*.')
    throw bad(whole, 'would be every name; a wildcard needs a domain', '*.dev.localhost')
  if (!rest.includes('*')) return
  const bare = input
    .split('.')
    .map((label) => label.replaceAll('*', ''))
    .filter((label) => label !== '')
    .join('.')
  throw bad(whole, 'has a * that is not the whole first label', meant(`*.${bare}`))
}

function toAscii(name: string, whole: string): string {
  // domainToASCII would also decode percent signs and expand short IPv4 addresses.
  const plain = /^[\x21-\x7e]*$/.test(name)
  if (plain && !/(?:^|\.)xn--/i.test(name)) return name.toLowerCase()
  const ascii = domainToASCII(name)
  if (ascii === '' || !ascii.split('.').every(isLabel))
    throw bad(whole, 'is not a valid international domain name')
  return plain ? name.toLowerCase() : ascii
}

/**
 * Whether a label is no A-label, or one that the letters that it stands for become again (RFC 5891,
 * section 5.4). From Node 24 on, `domainToASCII` leaves any label as it is that is ASCII already.
 */
function isLabel(label: string): boolean {
  if (!label.startsWith('xn--')) return true
  const letters = domainToUnicode(label)
  return letters !== label && domainToASCII(letters) === label
}

function checkLabel(label: string, whole: string): void {
  if (label === '') throw bad(whole, 'has an empty label')
  if (label.length > 63)
    throw bad(whole, `has a label of ${label.length} characters; 63 is the limit`)
  if (!/^[a-z0-9_-]+$/.test(label)) {
    const wrong = /[^a-z0-9_-]/.exec(label)?.[0]
    const hint = wrong === ',' ? 'Give each name by itself' : undefined
    throw bad(whole, `contains ${JSON.stringify(wrong)}, which no host name has`, hint)
  }
  if (label.startsWith('-') || label.endsWith('-'))
    throw bad(whole, `has a label that starts or ends with a hyphen (${label})`)
}

/** Returns a name to suggest instead; `undefined`: that name would be refused too. */
function meant(name: string | undefined): string | undefined {
  if (name === undefined || name === '') return undefined
  try {
    parseIdentifier(name)
    return name
  } catch {
    return undefined
  }
}

function bad(name: string, fault: string, suggestion?: string): RootlingError {
  const shown = name === '' ? '""' : printable(name)
  const hint =
    suggestion === undefined || suggestion.includes(' ')
      ? suggestion
      : `Did you mean ${suggestion}?`
  return new RootlingError('bad-name', `The name ${shown} ${fault}.`, { hint })
}

/**
 * Whether browsers refuse this wildcard, because only a top-level name, or `home.arpa`, follows the
 * `*`.
 */
export function isBareWildcard(identifier: Identifier): boolean {
  return identifier.type === 'dns' && /^\*\.(?:[^.]+|home\.arpa)$/.test(identifier.value)
}
